package storetest

import (
	"time"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

const (
	approval = eventv1.InputRequested_KIND_APPROVAL
	outcome  = eventv1.InputRequested_KIND_OUTCOME
	approve  = eventv1.Decision_DECISION_APPROVE
	reject   = eventv1.Decision_DECISION_REJECT
	happened = eventv1.Decision_DECISION_HAPPENED
)

func inputTests() map[string]func(*world) {
	return map[string]func(*world){
		"TurnWaitsForAll":        turnWaitsForAll,
		"WaitingMovesDeadline":   waitingMovesDeadline,
		"ApprovedCallRuns":       approvedCallRuns,
		"RejectedCallNeverRuns":  rejectedCallNeverRuns,
		"AskedCallNeedsApproval": askedCallNeedsApproval,
		"UnknownOutcomeIsAsked":  unknownOutcomeIsAsked,
		"OnlyWhatWasAsked":       onlyWhatWasAsked,
		"WaitNeedsQuestions":     waitNeedsQuestions,
		"AnswersAreFinal":        answersAreFinal,
	}
}

// suspended makes a turn that waits for approval of c1 and c2.
func (w *world) suspended() (*contextv1.Turn, *contextv1.ClaimCallRequest) {
	w.Helper()

	turn, request := w.proposed()
	response, err := w.append(w.as(triage), turn.GetConversationId(), request.GetLease(),
		message(2, 1, "c2"), asked("c1", approval), asked("c2", approval), waiting("c1", "c2"))
	w.ok(err)

	return response.GetTurn(), request
}

// answer decides about a call as the gateway.
func (w *world) decide(turn *contextv1.Turn, callID string, decision eventv1.Decision) *contextv1.Turn {
	w.Helper()

	response, err := w.append(w.gateway(), turn.GetConversationId(), nil, answered(callID, decision))
	w.ok(err)

	return response.GetTurn()
}

func turnWaitsForAll(w *world) {
	turn, request := w.suspended()
	same(w, "status", turn.GetStatus(), contextv1.TurnStatus_TURN_STATUS_INPUT_REQUIRED)
	same(w, "holder", turn.GetLeaseHolder(), "")
	same(w, "waiting", len(turn.GetWaitingCallIds()), 2)

	_, err := w.append(w.as(triage), turn.GetConversationId(), request.GetLease(), part("late"))
	w.refused(err, staleEpoch)
	_, err = w.acquire(turn.GetTurnId(), triage, revA, holder1)
	w.refused(err, "TURN_WAITING")
	_, err = w.append(w.gateway(), turn.GetConversationId(), nil, w.accepted("another"))
	w.refused(err, "TURN_IN_PROGRESS")

	w.clock.advance(time.Hour)
	same(w, "resumable while it waits", len(w.resumableIDs()), 0)

	turn = w.decide(turn, "c2", reject)
	same(w, "status", turn.GetStatus(), contextv1.TurnStatus_TURN_STATUS_INPUT_REQUIRED)
	same(w, "waiting", turn.GetWaitingCallIds()[0], "c1")

	turn = w.decide(turn, "c1", approve)
	same(w, "status", turn.GetStatus(), contextv1.TurnStatus_TURN_STATUS_RUNNING)
	same(w, "waiting", len(turn.GetWaitingCallIds()), 0)
	same(w, "resumable at once", len(w.resumableIDs()), 1)

	next, _ := w.lease(turn.GetTurnId(), triage, revA, holder2)
	same(w, "epoch", next.GetEpoch(), turn.GetEpoch()+1)
	same(w, "segment", next.GetSegment(), 1)
	w.ends(turn.GetConversationId(), "turn_waiting", "input_resolved", "input_resolved", "segment_resumed")
}

func waitingMovesDeadline(w *world) {
	turn, _ := w.suspended()
	deadline := turn.GetDeadline().AsTime()

	w.clock.advance(3 * time.Hour)
	w.decide(turn, "c1", approve)
	w.clock.advance(time.Hour)
	turn = w.decide(turn, "c2", approve)
	same(w, "deadline", turn.GetDeadline().AsTime(), deadline.Add(4*time.Hour))
}

func approvedCallRuns(w *world) {
	turn, request := w.suspended()
	request.NeedsApproval = true

	_, err := w.claim(request, holder1)
	w.refused(err, staleEpoch) // nobody executes the turn

	w.decide(turn, "c1", approve)
	w.decide(turn, "c2", approve)
	_, request.Lease = w.lease(turn.GetTurnId(), triage, revA, holder2)
	w.claims(request, holder1, granted)
}

func rejectedCallNeverRuns(w *world) {
	turn, request := w.suspended()
	w.decide(turn, "c1", reject)
	w.decide(turn, "c2", approve)
	_, request.Lease = w.lease(turn.GetTurnId(), triage, revA, holder2)

	for _, needed := range []bool{true, false} {
		request.NeedsApproval = needed
		_, err := w.claim(request, holder1)
		w.refused(err, "CALL_REJECTED")
	}

	_, err := w.append(w.as(triage), turn.GetConversationId(), request.GetLease(), result("c1", eventv1.ToolResult_OUTCOME_REJECTED))
	w.ok(err)
}

// askedCallNeedsApproval: a question that was asked counts, even if nobody says again that it is needed.
func askedCallNeedsApproval(w *world) {
	turn, request := w.proposed()
	_, err := w.append(w.as(triage), turn.GetConversationId(), request.GetLease(), asked("c1", approval))
	w.ok(err)

	_, err = w.claim(request, holder1)
	w.refused(err, "APPROVAL_REQUIRED")
}

func unknownOutcomeIsAsked(w *world) {
	turn, request := w.proposed()
	w.claims(request, holder1, granted)
	w.clock.advance(ttl)
	w.claims(request, holder2, unknown)

	response, err := w.append(w.as(triage), turn.GetConversationId(), request.GetLease(), asked("c1", outcome), waiting("c1"))
	w.ok(err)

	_, err = w.append(w.gateway(), turn.GetConversationId(), nil, answered("c1", approve))
	w.refused(err, "INPUT_NOT_REQUESTED")

	w.decide(response.GetTurn(), "c1", happened)
	_, request.Lease = w.lease(turn.GetTurnId(), triage, revA, holder2)
	w.claims(request, holder2, unknown) // never run again

	_, err = w.append(w.as(triage), turn.GetConversationId(), request.GetLease(), result("c1", eventv1.ToolResult_OUTCOME_OK))
	w.ok(err)
	w.claims(request, holder2, finished)
}

func onlyWhatWasAsked(w *world) {
	turn, _ := w.suspended()

	_, err := w.append(w.gateway(), turn.GetConversationId(), nil, answered("c9", approve))
	w.refused(err, "INPUT_NOT_REQUESTED")
	_, err = w.append(w.gateway(), turn.GetConversationId(), nil, answered("c1", happened))
	w.refused(err, "INPUT_NOT_REQUESTED")
	_, err = w.append(w.gateway(), turn.GetConversationId(), nil, answered("c1", eventv1.Decision_DECISION_UNSPECIFIED))
	same(w, "code", fault.CodeOf(err), codes.InvalidArgument)

	_, err = w.append(w.gateway(), w.open().GetConversationId(), nil, answered("c1", approve))
	w.refused(err, "NO_ACTIVE_TURN")
}

func waitNeedsQuestions(w *world) {
	turn, request := w.proposed()
	_, err := w.append(w.as(triage), turn.GetConversationId(), request.GetLease(), waiting("c1"))
	w.refused(err, "INPUT_NOT_REQUESTED")

	_, err = w.append(w.as(triage), turn.GetConversationId(), request.GetLease(), asked("c9", approval))
	w.refused(err, "CALL_NOT_PROPOSED")
}

func answersAreFinal(w *world) {
	turn, _ := w.suspended()
	w.decide(turn, "c1", reject)

	_, err := w.append(w.gateway(), turn.GetConversationId(), nil, answered("c1", approve))
	same(w, "decision", w.refused(err, "INPUT_NOT_REQUESTED").metadata["decision"], reject.String())

	w.decide(turn, "c2", reject)
	_, lease := w.lease(turn.GetTurnId(), triage, revA, holder2)

	_, err = w.append(w.as(triage), turn.GetConversationId(), lease, asked("c1", approval))
	w.refused(err, "INPUT_RESOLVED")
}
