package contextstore

import (
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// accept begins a turn: owned by the conversation's agent, or by the one that the event gives both to; held by nobody yet.
func (p *projection) accept(event *eventv1.Event) error {
	if active := p.conversation.ActiveTurnID; active != "" {
		return fault.New(codes.FailedPrecondition, "TURN_IN_PROGRESS",
			"conversation %s has a turn in progress: wait for it or cancel it", p.conversation.ID).With("turn_id", active)
	}

	if event.GetTurnId() == "" {
		return fault.Invalid(fault.Violation{Field: "events.turn_id", Message: "turn_accepted needs the id of a new turn"})
	}

	accepted := event.GetTurnAccepted()
	owner := firstOf(accepted.GetAgent(), p.conversation.Agent)

	actors := slices.Clone(accepted.GetActors())
	if len(actors) == 0 || actors[len(actors)-1] != owner {
		actors = append(actors, owner)
	}

	event.Epoch = 1
	p.conversation.Agent, p.conversation.ActiveTurnID = owner, event.GetTurnId()
	p.turnRevised, p.conversationRevised = true, true
	p.turn = &Turn{Phase: PhaseFresh, Forced: accepted.GetForcedRevisions(), Tally: Tally{BeganAt: p.now}, Turn: &contextv1.Turn{
		TurnId: event.GetTurnId(), ConversationId: p.conversation.ID,
		Tenant: p.conversation.Tenant, User: p.conversation.User, Agent: owner,
		Status: contextv1.TurnStatus_TURN_STATUS_RUNNING, Epoch: 1,
		LeaseExpiresAt: timestamp(p.now.Add(dispatchGrace)), Deadline: accepted.GetDeadline(),
		Budget: orEmpty(accepted.GetBudget()), Spent: &eventv1.Budget{},
		Visited: []*contextv1.Visit{{Agent: owner}}, Actors: actors, AcceptedSequence: event.GetSequence(),
		Traceparent: accepted.GetTraceparent(),
	}}

	return nil
}

// pass moves the turn and the conversation to the next agent, under a new epoch.
func (p *projection) pass(handoff *eventv1.Handoff) error {
	if handoff.GetFromAgent() != p.turn.GetAgent() {
		return notOwner(p.turn, handoff.GetFromAgent())
	}

	p.conclude(contextv1.Outcome_KIND_HANDED_OFF)

	turn := p.changed()
	turn.Budget = narrow(turn.GetBudget(), turn.GetSpent(), handoff.GetRemaining())
	turn.Spent.Hops++
	turn.Agent = handoff.GetToAgent()
	turn.Visited = append(turn.Visited, &contextv1.Visit{Agent: handoff.GetToAgent(), TaskDigest: handoff.GetTaskDigest()})
	turn.Actors = append(turn.Actors, handoff.GetToAgent())
	turn.Epoch++
	turn.Phase, turn.Revision, turn.Reserved, turn.Tally = PhaseFresh, "", Reservation{}, Tally{BeganAt: p.now}
	turn.release(p.now.Add(dispatchGrace))

	p.conversation.Agent = handoff.GetToAgent()
	p.conversationRevised, p.passed = true, true

	return nil
}

// cancel asks the executor to end the turn; if nobody executes it, it is work for a dispatcher at once.
func (p *projection) cancel(request *eventv1.CancelRequested) error {
	if err := p.needsTurn(); err != nil {
		return err
	}

	turn := p.changed()
	if !turn.GetCancelRequested() {
		turn.CancelRequested, turn.CancelBy, turn.CancelReason = true, request.GetBy(), request.GetReason()
	}

	if turn.GetStatus() == contextv1.TurnStatus_TURN_STATUS_INPUT_REQUIRED {
		turn.resume(p.now)
	} else if turn.GetLeaseHolder() == "" {
		turn.release(p.now)
	}

	return nil
}

// fail ends the turn without an answer. The gateway may do so only while nobody executes it.
func (p *projection) fail(failed *eventv1.TurnFailed) error {
	if p.by.role == roleGateway && p.turn.leased(p.now) {
		return leaseHeld(p.turn)
	}

	p.concludeFailed(failed)
	p.end(contextv1.TurnStatus_TURN_STATUS_FAILED)

	return nil
}

// end closes the turn and makes room for the next one.
func (p *projection) end(status contextv1.TurnStatus) {
	turn := p.changed()
	turn.Status, turn.WaitingCallIds, turn.WaitingSince = status, nil, time.Time{}
	turn.release(p.now)

	p.conversation.ActiveTurnID = ""
	p.conversationRevised, p.passed = true, true
}

// needsTurn refuses events that speak to a running turn where there is none.
func (p *projection) needsTurn() error {
	if p.turn == nil {
		return fault.New(codes.FailedPrecondition, "NO_ACTIVE_TURN", "conversation %s has no turn in progress",
			p.conversation.ID)
	}

	if ended(p.turn.GetStatus()) {
		return turnEnded(p.turn)
	}

	return nil
}

// release takes the lease from whoever holds it; a dispatcher may send the turn again from a time on.
func (t *Turn) release(resumable time.Time) {
	t.LeaseHolder, t.LeaseExpiresAt = "", timestamp(resumable)
}

// resume ends the wait for humans. Its time does not count against the turn's deadline.
func (t *Turn) resume(now time.Time) {
	if !t.WaitingSince.IsZero() && t.GetDeadline() != nil {
		t.Deadline = timestamp(t.GetDeadline().AsTime().Add(now.Sub(t.WaitingSince)))
	}

	t.Status, t.Phase = contextv1.TurnStatus_TURN_STATUS_RUNNING, PhaseAnswered
	t.WaitingCallIds, t.WaitingSince, t.Tally = nil, time.Time{}, Tally{BeganAt: now}
	t.release(now)
}

// leased says whether an executor holds a lease that has not ended.
func (t *Turn) leased(now time.Time) bool {
	return t.GetLeaseHolder() != "" && t.GetLeaseExpiresAt().AsTime().After(now)
}

// ended says whether a turn in this status has come to its end.
func ended(status contextv1.TurnStatus) bool {
	switch status {
	case contextv1.TurnStatus_TURN_STATUS_COMPLETED, contextv1.TurnStatus_TURN_STATUS_FAILED,
		contextv1.TurnStatus_TURN_STATUS_CANCELLED:
		return true
	case contextv1.TurnStatus_TURN_STATUS_UNSPECIFIED, contextv1.TurnStatus_TURN_STATUS_RUNNING,
		contextv1.TurnStatus_TURN_STATUS_INPUT_REQUIRED:
		return false
	default:
		return false
	}
}

// notOwner is the fault for acting as an agent that does not own the turn.
func notOwner(turn *Turn, agent string) error {
	return fault.New(codes.FailedPrecondition, "NOT_OWNER", "turn %s belongs to agent %q, not to %q",
		turn.GetTurnId(), turn.GetAgent(), agent).With("owner", turn.GetAgent())
}

func orEmpty(budget *eventv1.Budget) *eventv1.Budget {
	if budget == nil {
		return &eventv1.Budget{}
	}

	return budget
}
