package storetest

import (
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

func turnTests() map[string]func(*world) {
	return map[string]func(*world){
		"AcceptedTurn":            acceptedTurn,
		"AcceptedForAnother":      acceptedForAnother,
		"OneActiveTurn":           oneActiveTurn,
		"TurnIDsAreNew":           turnIDsAreNew,
		"EndMakesRoom":            endMakesRoom,
		"BudgetIsSettled":         budgetIsSettled,
		"LostStepStaysSpent":      lostStepStaysSpent,
		"GuardrailsAreCharged":    guardrailsAreCharged,
		"HandoffMovesEverything":  handoffMovesEverything,
		"HandoffNarrowsBudget":    handoffNarrowsBudget,
		"CostIsReserved":          costIsReserved,
		"HandoffFromTheOwnerOnly": handoffFromTheOwnerOnly,
		"GatewayFailsDeadTurns":   gatewayFailsDeadTurns,
		"Resumable":               resumable,
		"FeedbackAfterTheEnd":     feedbackAfterTheEnd,
	}
}

func acceptedTurn(w *world) {
	turn := w.accept(w.open().GetConversationId())
	same(w, "agent", turn.GetAgent(), triage)
	same(w, "epoch", turn.GetEpoch(), 1)
	same(w, "holder", turn.GetLeaseHolder(), "")
	same(w, "status", turn.GetStatus(), contextv1.TurnStatus_TURN_STATUS_RUNNING)
	same(w, "grace", turn.GetLeaseExpiresAt().AsTime(), w.clock.Now().Add(2*time.Second))
	same(w, "user", turn.GetUser(), ada)
	same(w, "steps", turn.GetBudget().GetSteps(), 10)
	same(w, "accepted", turn.GetAcceptedSequence(), 2)
	same(w, "visited", turn.GetVisited()[0].GetAgent(), triage)

	if want := []string{"user:ada", triage}; !slices.Equal(turn.GetActors(), want) {
		w.Fatalf("actors: got %v, want %v", turn.GetActors(), want)
	}
}

// acceptedForAnother: the conversation's agent is gone, so the gateway gives turn and conversation to another.
func acceptedForAnother(w *world) {
	conversation := w.open().GetConversationId()
	accepted := w.accepted(w.fresh("turn"))
	accepted.GetTurnAccepted().Agent = billing

	response, err := w.append(w.gateway(), conversation, nil, accepted)
	w.ok(err)

	turn := response.GetTurn()
	same(w, "owner", turn.GetAgent(), billing)
	same(w, "visits", len(turn.GetVisited()), 1)
	same(w, "visited", turn.GetVisited()[0].GetAgent(), billing)
	same(w, "conversation's agent", w.get(conversation).GetAgent(), billing)

	if want := []string{"user:ada", billing}; !slices.Equal(turn.GetActors(), want) {
		w.Fatalf("actors: got %v, want %v", turn.GetActors(), want)
	}

	_, err = w.acquire(turn.GetTurnId(), triage, revA, holder1)
	w.refused(err, notOwner)

	_, lease := w.lease(turn.GetTurnId(), billing, revB, holder1)
	_, err = w.append(w.as(billing), conversation, lease, completed())
	w.ok(err)

	same(w, "owner of the next turn", w.accept(conversation).GetAgent(), billing)

	refused := w.accepted(w.fresh("turn")) // while a turn runs nothing moves
	refused.GetTurnAccepted().Agent = triage
	_, err = w.append(w.gateway(), conversation, nil, refused)
	w.refused(err, "TURN_IN_PROGRESS")
	same(w, "conversation's agent", w.get(conversation).GetAgent(), billing)
}

func oneActiveTurn(w *world) {
	conversation := w.open()
	turn := w.accept(conversation.GetConversationId())

	_, err := w.append(w.gateway(), conversation.GetConversationId(), nil, w.accepted("another"))
	refused := w.refused(err, "TURN_IN_PROGRESS")
	same(w, "code", refused.code, codes.FailedPrecondition)
	same(w, "turn", refused.metadata["turn_id"], turn.GetTurnId())
	same(w, "active", w.get(conversation.GetConversationId()).GetActiveTurn().GetTurnId(), turn.GetTurnId())
}

func turnIDsAreNew(w *world) {
	turn, lease := w.running()
	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, completed())
	w.ok(err)

	_, err = w.append(w.gateway(), turn.GetConversationId(), nil, w.accepted(turn.GetTurnId()))
	w.refused(err, "TURN_ID_REUSED")

	_, err = w.append(w.gateway(), turn.GetConversationId(), nil, w.accepted(""))
	same(w, "code", fault.CodeOf(err), codes.InvalidArgument)
}

func endMakesRoom(w *world) {
	for _, last := range []*eventv1.Event{completed(), failed("INTERNAL"), turnCancelled()} {
		turn, lease := w.running()

		response, err := w.append(w.as(triage), turn.GetConversationId(), lease, part("a"), last)
		w.ok(err)
		same(w, "holder", response.GetTurn().GetLeaseHolder(), "")

		_, err = w.append(w.as(triage), turn.GetConversationId(), lease, part("b"))
		w.refused(err, ended)

		_, err = w.acquire(turn.GetTurnId(), triage, revA, holder1)
		w.refused(err, ended)

		next := w.accept(turn.GetConversationId())
		same(w, "active", w.get(turn.GetConversationId()).GetActiveTurn().GetTurnId(), next.GetTurnId())
	}
}

func budgetIsSettled(w *world) {
	turn, lease := w.running()

	response, err := w.append(w.as(triage), turn.GetConversationId(), lease, stepStarted(1, 500))
	w.ok(err)
	same(w, "reserved", response.GetTurn().GetSpent().GetTokens(), 500)
	same(w, "steps", response.GetTurn().GetSpent().GetSteps(), 1)

	response, err = w.append(w.as(triage), turn.GetConversationId(), lease, message(1, 120), stepStarted(2, 300))
	w.ok(err)
	same(w, "spent", response.GetTurn().GetSpent().GetTokens(), 420)

	response, err = w.append(w.as(triage), turn.GetConversationId(), lease, message(2, 30))
	w.ok(err)
	same(w, "spent", response.GetTurn().GetSpent().GetTokens(), 150)
	same(w, "steps", response.GetTurn().GetSpent().GetSteps(), 2)
}

// lostStepStaysSpent: nobody knows what a model call used whose process died, so its reservation stays.
func lostStepStaysSpent(w *world) {
	turn, lease := w.running()
	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, stepStarted(1, 500))
	w.ok(err)
	w.clock.advance(ttl)

	_, lease = w.lease(turn.GetTurnId(), triage, revA, holder2)
	response, err := w.append(w.as(triage), turn.GetConversationId(), lease, stepStarted(1, 200), message(1, 50))
	w.ok(err)
	same(w, "spent", response.GetTurn().GetSpent().GetTokens(), 550)
	same(w, "steps", response.GetTurn().GetSpent().GetSteps(), 2)
}

// guardrailsAreCharged: a classifier's call is spent beside the step's reservation, and an answer that is to be written again
// settles its step.
func guardrailsAreCharged(w *world) {
	turn, lease := w.running()

	response, err := w.append(w.as(triage), turn.GetConversationId(), lease,
		applied(eventv1.GuardrailApplied_ACTION_CHECKED, 0, 30), stepStarted(1, 500),
		applied(eventv1.GuardrailApplied_ACTION_REDACTED, 1, 0), applied(eventv1.GuardrailApplied_ACTION_CHECKED, 1, 7))
	w.ok(err)
	same(w, "spent", response.GetTurn().GetSpent().GetTokens(), 537)

	response, err = w.append(w.as(triage), turn.GetConversationId(), lease,
		applied(eventv1.GuardrailApplied_ACTION_REPAIR, 1, 120), stepStarted(2, 300), message(2, 50))
	w.ok(err)
	same(w, "spent", response.GetTurn().GetSpent().GetTokens(), 207)
	same(w, "steps", response.GetTurn().GetSpent().GetSteps(), 2)
}

func handoffMovesEverything(w *world) {
	turn, lease := w.running()

	response, err := w.append(w.as(triage), turn.GetConversationId(), lease,
		message(1, 0, "h1:handoff_to_billing"), result("h1", eventv1.ToolResult_OUTCOME_OK), handoff(triage, billing, nil))
	w.ok(err)

	moved := response.GetTurn()
	same(w, "owner", moved.GetAgent(), billing)
	same(w, "epoch", moved.GetEpoch(), lease.GetEpoch()+1)
	same(w, "holder", moved.GetLeaseHolder(), "")
	same(w, "grace", moved.GetLeaseExpiresAt().AsTime(), w.clock.Now().Add(2*time.Second))
	same(w, "hops", moved.GetSpent().GetHops(), 1)
	same(w, "visited", moved.GetVisited()[1].GetTaskDigest(), "task")
	same(w, "actor", moved.GetActors()[2], billing)
	same(w, "conversation's agent", w.get(turn.GetConversationId()).GetAgent(), billing)

	_, err = w.append(w.as(triage), turn.GetConversationId(), lease, part("late"))
	w.refused(err, staleEpoch)

	_, err = w.append(w.as(triage), turn.GetConversationId(), refOf(moved), part("forged"))
	w.refused(err, staleEpoch) // nobody holds the lease yet

	_, err = w.acquire(turn.GetTurnId(), triage, revA, holder1)
	same(w, "owner named", w.refused(err, notOwner).metadata["owner"], billing)

	next, _ := w.lease(turn.GetTurnId(), billing, revB, holder2)
	same(w, "segment", next.GetSegment(), 2)
	same(w, "epoch", next.GetEpoch(), moved.GetEpoch()+1)

	_, err = w.append(w.as(triage), turn.GetConversationId(), refOf(next), part("forged"))
	w.refused(err, notOwner)

	kinds := w.kinds(turn.GetConversationId())
	if want := []string{"handoff", "agent_joined", "segment_started"}; !slices.Equal(kinds[len(kinds)-3:], want) {
		w.Fatalf("got %v, want it to end with %v", kinds, want)
	}
}

func handoffNarrowsBudget(w *world) {
	turn, lease := w.running() // steps 10, tokens 1000, hops 3

	response, err := w.append(w.as(triage), turn.GetConversationId(), lease, stepStarted(1, 0), message(1, 100),
		handoff(triage, billing, &eventv1.Budget{Steps: 4, Tokens: 5000, CostMicros: 70}))
	w.ok(err)

	budget := response.GetTurn().GetBudget()
	same(w, "steps: 1 spent and 4 left", budget.GetSteps(), 5)
	same(w, "tokens: the turn's own limit is smaller", budget.GetTokens(), 1000)
	same(w, "cost: a new limit", budget.GetCostMicros(), 70)
	same(w, "hops: no limit of the agent's", budget.GetHops(), 3)
}

// costIsReserved: a cost is reserved and settled as tokens are, but stays reserved while nobody knows it.
func costIsReserved(w *world) {
	turn, lease := w.running()
	cost := int64(30)
	priced, unpriced := message(1, 100), message(2, 100)
	priced.GetAgentMessage().Usage.CostMicros = &cost

	for _, step := range []struct {
		event *eventv1.Event
		spent int64
	}{
		{costly(1, 50), 50}, {priced, 30}, {costly(2, 50), 80}, {unpriced, 80}, {costly(3, 5), 85},
	} {
		response, err := w.append(w.as(triage), turn.GetConversationId(), lease, step.event)
		w.ok(err)
		same(w, "spent", response.GetTurn().GetSpent().GetCostMicros(), step.spent)
	}

	response, err := w.append(w.as(triage), turn.GetConversationId(), lease,
		handoff(triage, billing, &eventv1.Budget{CostMicros: 70}))
	w.ok(err)
	same(w, "cost: what is spent and what is left", response.GetTurn().GetBudget().GetCostMicros(), 155)
}

func costly(step int32, micros int64) *eventv1.Event {
	return &eventv1.Event{Step: step, Kind: &eventv1.Event_StepStarted{
		StepStarted: &eventv1.StepStarted{ReservedCostMicros: micros},
	}}
}

func handoffFromTheOwnerOnly(w *world) {
	turn, lease := w.running()
	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, handoff(billing, "scheduling", nil))
	w.refused(err, notOwner)
}

func gatewayFailsDeadTurns(w *world) {
	turn, lease := w.running()

	_, err := w.append(w.gateway(), turn.GetConversationId(), lease, failed("DEADLINE_EXCEEDED"))
	w.refused(err, "LEASE_HELD")

	_, err = w.append(w.gateway(), turn.GetConversationId(), nil, failed("DEADLINE_EXCEEDED"))
	same(w, "code", fault.CodeOf(err), codes.InvalidArgument)

	w.clock.advance(ttl)

	stale := &contextv1.LeaseRef{TurnId: turn.GetTurnId(), Epoch: lease.GetEpoch() - 1}
	_, err = w.append(w.gateway(), turn.GetConversationId(), stale, failed("DEADLINE_EXCEEDED"))
	w.refused(err, staleEpoch)

	response, err := w.append(w.gateway(), turn.GetConversationId(), lease, failed("DEADLINE_EXCEEDED"))
	w.ok(err)
	same(w, "status", response.GetTurn().GetStatus(), contextv1.TurnStatus_TURN_STATUS_FAILED)
}

// resumableTurns lists the turns that wait for a dispatcher.
func (w *world) resumableTurns() []*contextv1.Turn {
	w.Helper()

	response, err := w.client.ListResumableTurns(w.gateway(), &contextv1.ListResumableTurnsRequest{Limit: 1000})
	w.ok(err)

	return response.GetTurns()
}

func (w *world) resumableIDs() []string {
	w.Helper()

	turns := w.resumableTurns()
	ids := make([]string, 0, len(turns))

	for _, turn := range turns {
		ids = append(ids, turn.GetTurnId())
	}

	return ids
}

func resumable(w *world) {
	waiting := w.accept(w.open().GetConversationId())
	same(w, "turns within the grace", len(w.resumableIDs()), 0)
	w.clock.advance(time.Second)

	leased, lease := w.running()
	w.clock.advance(time.Second)

	if got := w.resumableIDs(); !slices.Equal(got, []string{waiting.GetTurnId()}) {
		w.Fatalf("got %v, want the turn that nobody took", got)
	}

	w.clock.advance(ttl)

	if got := w.resumableIDs(); !slices.Equal(got, []string{waiting.GetTurnId(), leased.GetTurnId()}) {
		w.Fatalf("got %v, want both, the longest expired first", got)
	}

	_, err := w.append(w.as(triage), leased.GetConversationId(), lease, completed())
	w.ok(err)
	same(w, "turns once one ended", len(w.resumableIDs()), 1)

	limited, err := w.client.ListResumableTurns(w.as(rpc.Operator), &contextv1.ListResumableTurnsRequest{Limit: 1})
	w.ok(err)
	same(w, "limit", len(limited.GetTurns()), 1)
}

func feedbackAfterTheEnd(w *world) {
	turn, lease := w.running()
	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, completed())
	w.ok(err)

	_, err = w.append(w.gateway(), turn.GetConversationId(), nil, feedback(turn.GetTurnId()))
	w.ok(err)

	events := w.events(turn.GetConversationId())
	same(w, "turn", events[len(events)-1].GetTurnId(), turn.GetTurnId())

	_, err = w.append(w.gateway(), turn.GetConversationId(), nil, feedback("t0"))
	same(w, "code", fault.CodeOf(err), codes.NotFound)
}
