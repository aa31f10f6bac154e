package contextstore

import (
	"slices"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// ask notes that a human is asked about a call.
func (p *projection) ask(request *eventv1.InputRequested) error {
	call, err := p.call(request.GetCallId())
	if err != nil {
		return err
	}

	if call.State == CallCompleted {
		return fault.New(codes.FailedPrecondition, "CALL_COMPLETED", "call %s has its result already", call.ID)
	}

	question := questionAbout(&call, request.GetKind())
	if question.Asked && !question.Open() {
		return fault.New(codes.FailedPrecondition, "INPUT_RESOLVED", "call %s: this question has been answered (%s)",
			call.ID, question.Decision)
	}

	question.Asked = true
	p.keep(call)

	return nil
}

// answer takes a human's decision; the last one that a turn waits for lets it go on.
func (p *projection) answer(resolution *eventv1.InputResolved) error {
	if err := p.needsTurn(); err != nil {
		return err
	}

	kind, err := questionOf(resolution.GetDecision())
	if err != nil {
		return err
	}

	call := p.calls[resolution.GetCallId()]

	question := questionAbout(&call, kind)
	if call.TurnID != p.turn.GetTurnId() || !question.Open() {
		return notRequested(resolution.GetCallId(), *question)
	}

	question.Decision = resolution.GetDecision()
	p.keep(call)
	p.resolve(call)

	return nil
}

// resolve takes a call off the turn's list once no question about it is open.
func (p *projection) resolve(call Call) {
	waits := p.turn.GetStatus() == contextv1.TurnStatus_TURN_STATUS_INPUT_REQUIRED
	if !waits || call.Approval.Open() || call.Outcome.Open() {
		return
	}

	turn := p.changed()

	turn.WaitingCallIds = slices.DeleteFunc(turn.GetWaitingCallIds(), func(id string) bool { return id == call.ID })
	if len(turn.GetWaitingCallIds()) == 0 {
		turn.resume(p.now)
	}
}

// wait gives the lease back until every question is answered. A turn that is to be cancelled does not wait.
func (p *projection) wait(waiting *eventv1.TurnWaiting) error {
	ids := slices.Compact(slices.Sorted(slices.Values(waiting.GetCallIds())))
	for _, id := range ids {
		call := p.calls[id]
		if call.TurnID != p.turn.GetTurnId() || !call.Approval.Open() && !call.Outcome.Open() {
			return notRequested(id, call.Approval)
		}
	}

	p.conclude(contextv1.Outcome_KIND_WAITING)

	turn := p.changed()
	turn.Tally = Tally{BeganAt: p.now}
	turn.Status, turn.Phase = contextv1.TurnStatus_TURN_STATUS_INPUT_REQUIRED, PhaseAnswered
	turn.WaitingCallIds, turn.WaitingSince = ids, p.now
	turn.release(p.now)

	if turn.GetCancelRequested() {
		turn.resume(p.now)
	}

	p.passed = true

	return nil
}

// questionAbout returns the question of a kind about a call, to be changed.
func questionAbout(call *Call, kind eventv1.InputRequested_Kind) *Question {
	if kind == eventv1.InputRequested_KIND_OUTCOME {
		return &call.Outcome
	}

	return &call.Approval
}

// questionOf returns the kind of question that a decision answers.
func questionOf(decision eventv1.Decision) (eventv1.InputRequested_Kind, error) {
	switch decision {
	case eventv1.Decision_DECISION_APPROVE, eventv1.Decision_DECISION_REJECT:
		return eventv1.InputRequested_KIND_APPROVAL, nil
	case eventv1.Decision_DECISION_HAPPENED, eventv1.Decision_DECISION_DID_NOT_HAPPEN:
		return eventv1.InputRequested_KIND_OUTCOME, nil
	case eventv1.Decision_DECISION_UNSPECIFIED:
		break
	}

	return eventv1.InputRequested_KIND_UNSPECIFIED, fault.Invalid(fault.Violation{
		Field: "events.input_resolved.decision", Message: "must be a decision, not " + decision.String(),
	})
}

func notRequested(callID string, question Question) error {
	missing := fault.New(codes.FailedPrecondition, "INPUT_NOT_REQUESTED", "call %s: no such question is open", callID)
	if question.Asked && !question.Open() {
		return missing.With("decision", question.Decision.String())
	}

	return missing
}
