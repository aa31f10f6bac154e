package storetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/services/contextstore"
)

func outcomeTests() map[string]func(*world) {
	return map[string]func(*world){
		"CompletedSegment":     completedSegment,
		"HandedOffSegments":    handedOffSegments,
		"WaitingIsAnEnd":       waitingIsAnEnd,
		"CancelledSegment":     cancelledSegment,
		"LostExecutors":        lostExecutors,
		"LostKeepsItsBegin":    lostKeepsItsBegin,
		"MovedStartsAnew":      movedStartsAnew,
		"LateIsNotDead":        lateIsNotDead,
		"OldOnesAreForgotten":  oldOnesAreForgotten,
		"FailedByItself":       failedByItself,
		"FailedByCaller":       failedByCaller,
		"FailedBeforeAnyone":   failedBeforeAnyone,
		"ToolsAreCounted":      toolsAreCounted,
		"LateResultsAreNot":    lateResultsAreNot,
		"OpinionsOfTurns":      opinionsOfTurns,
		"NothingOnRefusal":     nothingOnRefusal,
		"ReasonsAreShortened":  reasonsAreShortened,
		"OutputIsTheFirstOnly": outputIsTheFirstOnly,
	}
}

// outcomes reads all outcomes that there are from a position on.
func (w *world) outcomes(from int64) []*contextv1.Outcome {
	w.Helper()

	watcher := w.watch(from, "")
	defer watcher.cancel()

	var all []*contextv1.Outcome

	for {
		response, err := watcher.stream.Recv()
		w.ok(err)

		all = append(all, response.GetOutcomes()...)
		if len(all) == 0 || all[len(all)-1].GetPosition() == response.GetPosition() {
			return all
		}
	}
}

// told names an outcome: kind, agent, revision and segment.
func told(outcome *contextv1.Outcome) string {
	kind := strings.ToLower(strings.TrimPrefix(outcome.GetKind().String(), "KIND_"))
	if outcome.GetByCaller() {
		kind += " by caller"
	}

	return fmt.Sprintf("%s %s@%s/%d", kind, outcome.GetAgent(), outcome.GetRevision(), outcome.GetSegment())
}

// came fails the test unless the world's outcomes are these.
func (w *world) came(want ...string) []*contextv1.Outcome {
	w.Helper()

	outcomes := w.outcomes(0)
	got := make([]string, 0, len(outcomes))

	for _, outcome := range outcomes {
		got = append(got, told(outcome))
	}

	if !slices.Equal(got, want) {
		w.Fatalf("the outcomes are\n%q, want\n%q", got, want)
	}

	return outcomes
}

// equal fails the test unless got is want in every field.
func equal(w *world, got, want proto.Message) {
	w.Helper()

	if !proto.Equal(got, want) {
		w.Fatalf("got\n%s, want\n%s", prototext.Format(got), prototext.Format(want))
	}
}

// write appends as an agent; it must succeed.
func (w *world) write(agent string, turn *contextv1.Turn, lease *contextv1.LeaseRef, events ...*eventv1.Event) *contextv1.Turn {
	w.Helper()

	response, err := w.append(w.as(agent), turn.GetConversationId(), lease, events...)
	w.ok(err)

	return response.GetTurn()
}

func completedSegment(w *world) {
	turn := w.accept(w.open().GetConversationId())
	w.clock.advance(time.Second)

	began := w.clock.Now()
	_, lease := w.lease(turn.GetTurnId(), triage, revA, holder1)
	w.clock.advance(time.Second)
	w.write(triage, turn, lease, stepStarted(1, 500))
	w.clock.advance(time.Second)
	w.write(triage, turn, lease, part("h"))
	w.clock.advance(time.Second)
	w.write(triage, turn, lease, message(1, 100), guardrail(), stepStarted(2, 100), message(2, 20), completed())

	equal(w, w.came("completed triage@aaaaaaaaaaaa/1")[0], &contextv1.Outcome{
		Position: 1, Kind: contextv1.Outcome_KIND_COMPLETED, Agent: triage, Revision: revA,
		ConversationId: turn.GetConversationId(), TurnId: turn.GetTurnId(), Segment: 1,
		BeganAt: timestamppb.New(began), EndedAt: timestamppb.New(began.Add(3 * time.Second)),
		FirstOutput: durationpb.New(2 * time.Second), Usage: &eventv1.Usage{InputTokens: 120}, Steps: 2, GuardrailHits: 1,
	})
}

func handedOffSegments(w *world) {
	turn, lease := w.running()
	w.write(triage, turn, lease, message(1, 7), handoff(triage, billing, nil))
	w.clock.advance(time.Second)

	_, lease = w.lease(turn.GetTurnId(), billing, revB, holder2)
	w.write(billing, turn, lease, completed())

	outcomes := w.came("handed_off triage@aaaaaaaaaaaa/1", "completed billing@bbbbbbbbbbbb/2")
	same(w, "what the first used", outcomes[0].GetUsage().GetInputTokens(), 7)
	same(w, "what the second used", outcomes[1].GetUsage().GetInputTokens(), 0)
	same(w, "when the second began", outcomes[1].GetBeganAt().AsTime(), w.clock.Now())
	same(w, "output of the second", outcomes[1].GetFirstOutput() != nil, false)
}

// waitingIsAnEnd: the time that a human takes is nobody's.
func waitingIsAnEnd(w *world) {
	turn, _ := w.suspended()
	w.clock.advance(time.Hour)
	w.decide(turn, "c1", reject)
	w.decide(turn, "c2", reject)
	w.clock.advance(time.Second)

	_, lease := w.lease(turn.GetTurnId(), triage, revA, holder1)
	w.write(triage, turn, lease, message(3, 5), completed())

	outcomes := w.came("waiting triage@aaaaaaaaaaaa/1", "completed triage@aaaaaaaaaaaa/1")
	same(w, "steps before", outcomes[0].GetSteps(), 1)
	same(w, "steps after", outcomes[1].GetSteps(), 0)
	same(w, "used after", outcomes[1].GetUsage().GetInputTokens(), 5)
	same(w, "began again", outcomes[1].GetBeganAt().AsTime(), w.clock.Now())
}

func cancelledSegment(w *world) {
	turn, lease := w.running()
	_, err := w.append(w.gateway(), turn.GetConversationId(), nil, cancelled(ada))
	w.ok(err)
	w.came()

	w.write(triage, turn, lease, turnCancelled())
	w.came("cancelled triage@aaaaaaaaaaaa/1")
}

// lostExecutors: by a lease that ended, by giving it back, and by a fence. Only the first has died.
func lostExecutors(w *world) {
	turn, _ := w.running()
	ended := w.clock.Now().Add(ttl)
	w.clock.advance(time.Minute)
	w.came()

	_, lease := w.lease(turn.GetTurnId(), triage, revA, holder2)
	same(w, "the lost one ended with its lease", w.came("lost triage@aaaaaaaaaaaa/1")[0].GetEndedAt().AsTime(), ended)

	_, err := w.client.ReleaseLease(w.as(triage), &contextv1.ReleaseLeaseRequest{Lease: lease})
	w.ok(err)
	w.lease(turn.GetTurnId(), triage, revA, holder1)
	w.lease(turn.GetTurnId(), triage, revA, holder1) // again, which loses nobody
	w.withdraw(revA, revB, 1, true)

	_, lease = w.lease(turn.GetTurnId(), triage, revB, holder2)
	w.write(triage, turn, lease, completed())

	for i, outcome := range w.came("lost triage@aaaaaaaaaaaa/1", "lost triage@aaaaaaaaaaaa/1", "lost triage@aaaaaaaaaaaa/1",
		"completed triage@bbbbbbbbbbbb/1") {
		same(w, "reason "+strconv.Itoa(i), outcome.GetReason(), []string{"EXECUTOR_DIED", "", "", ""}[i])
	}
}

// lateIsNotDead: a process that comes back for the turn after its lease has ended is alive, whichever of its executions
// it is.
func lateIsNotDead(w *world) {
	turn, _ := w.running()
	w.clock.advance(ttl)
	w.lease(turn.GetTurnId(), triage, revA, holder1+"/2")
	same(w, "reason", w.came("lost triage@aaaaaaaaaaaa/1")[0].GetReason(), "")
}

// movedStartsAnew: what another revision took is not the next one's to answer for.
func movedStartsAnew(w *world) {
	turn, _ := w.running()
	w.withdraw(revA, revB, 1, true)
	w.clock.advance(time.Second)

	_, lease := w.lease(turn.GetTurnId(), triage, revB, holder2)
	w.write(triage, turn, lease, completed())
	same(w, "began", w.came("lost triage@aaaaaaaaaaaa/1", "completed triage@bbbbbbbbbbbb/1")[1].GetBeganAt().AsTime(), w.clock.Now())
}

// oldOnesAreForgotten: a few with each that comes, and never the last.
func oldOnesAreForgotten(w *world) {
	w.fill(5, billing)
	w.clock.advance(31 * 24 * time.Hour)
	same(w, "nothing came", len(w.outcomes(0)), 5)

	w.finish()
	same(w, "after one more", len(w.outcomes(0)), 4)
	w.finish()
	w.finish()

	left := w.outcomes(0)
	same(w, "left", len(left), 3)
	same(w, "the first left", left[0].GetPosition(), 6)

	w.clock.advance(31 * 24 * time.Hour)
	w.ok(w.store.Update(w.Context(), contextstore.About{}, func(tx contextstore.Tx) error { return tx.ForgetOutcomes(w.clock.Now(), 100) }))

	left = w.outcomes(0)
	same(w, "left of all that are old", len(left), 1)
	same(w, "the last", left[0].GetPosition(), 8)
}

// lostKeepsItsBegin: what counts for who waits is when the segment first began.
func lostKeepsItsBegin(w *world) {
	turn, lease := w.running()
	w.write(triage, turn, lease, stepStarted(1, 10), part("h"))
	w.clock.advance(ttl)

	_, lease = w.lease(turn.GetTurnId(), triage, revA, holder2)
	w.clock.advance(time.Second)
	w.write(triage, turn, lease, stepStarted(1, 10), message(1, 3), completed())

	outcomes := w.came("lost triage@aaaaaaaaaaaa/1", "completed triage@aaaaaaaaaaaa/1")
	same(w, "steps of the lost one", outcomes[0].GetSteps(), 1)
	same(w, "steps", outcomes[1].GetSteps(), 1)
	same(w, "used", outcomes[1].GetUsage().GetInputTokens(), 3)
	same(w, "began", outcomes[1].GetBeganAt().AsTime(), outcomes[0].GetBeganAt().AsTime())
	same(w, "first output", outcomes[1].GetFirstOutput().AsDuration(), ttl+time.Second)
}

func failedByItself(w *world) {
	turn, lease := w.running()
	w.write(triage, turn, lease, failed("PROVIDER_ERROR"))

	same(w, "reason", w.came("failed triage@aaaaaaaaaaaa/1")[0].GetReason(), "PROVIDER_ERROR")
}

// unreachable fails a turn as a gateway that can't reach anyone.
func (w *world) unreachable(turn *contextv1.Turn) {
	w.Helper()

	_, err := w.append(w.gateway(), turn.GetConversationId(), refOf(turn), failed("AGENT_UNAVAILABLE"))
	w.ok(err)
}

// failedByCaller: the executor died, and nobody could go on.
func failedByCaller(w *world) {
	turn, lease := w.running()
	w.write(triage, turn, lease, stepStarted(1, 10))
	w.clock.advance(ttl)
	w.unreachable(turn)

	outcome := w.came("failed by caller triage@aaaaaaaaaaaa/1")[0]
	same(w, "reason", outcome.GetReason(), "AGENT_UNAVAILABLE")
	same(w, "steps", outcome.GetSteps(), 1)
}

// failedBeforeAnyone: nobody began the segment, so the revision to blame is the one that had to.
func failedBeforeAnyone(w *world) {
	conversation := w.open().GetConversationId()
	w.unreachable(w.accept(conversation))

	forcing := w.accepted(w.fresh("turn"))
	forcing.GetTurnAccepted().ForcedRevisions = map[string]string{triage: revC}
	response, err := w.append(w.gateway(), conversation, nil, forcing)
	w.ok(err)
	w.unreachable(response.GetTurn())

	turn := w.accept(conversation)
	_, lease := w.lease(turn.GetTurnId(), triage, revA, holder1)
	w.write(triage, turn, lease, completed())

	turn = w.accept(conversation)
	accepted := w.clock.Now()
	w.withdraw(revA, revB, 1, false)
	w.clock.advance(time.Minute)
	w.unreachable(turn)

	outcomes := w.came("failed by caller triage@/1", "failed by caller triage@cccccccccccc/1",
		"completed triage@aaaaaaaaaaaa/1", "failed by caller triage@bbbbbbbbbbbb/1")
	same(w, "the agent has owned it since", outcomes[3].GetBeganAt().AsTime(), accepted)
}

func toolsAreCounted(w *world) {
	turn, request := w.proposed()
	w.write(triage, turn, request.GetLease(), message(2, 0, "c2", "c3"),
		result("c2", eventv1.ToolResult_OUTCOME_REJECTED), result("c3", eventv1.ToolResult_OUTCOME_ERROR))

	_, err := w.claim(request, holder1)
	w.ok(err)
	_, err = w.complete(turn.GetConversationId(), "c1", holder1)
	w.ok(err)
	_, err = w.complete(turn.GetConversationId(), "c1", holder1) // told again
	w.ok(err)
	w.write(triage, turn, request.GetLease(), completed())

	outcome := w.came("completed triage@aaaaaaaaaaaa/1")[0]
	same(w, "tool calls", outcome.GetToolCalls(), 3)
	same(w, "tool errors", outcome.GetToolErrors(), 1)
	same(w, "a call is output", outcome.GetFirstOutput() != nil, true)
}

// lateResultsAreNot: what a call of an earlier segment comes to is not the next segment's.
func lateResultsAreNot(w *world) {
	turn, request := w.proposed()
	_, err := w.claim(request, holder1)
	w.ok(err)
	w.write(triage, turn, request.GetLease(), handoff(triage, billing, nil))

	_, lease := w.lease(turn.GetTurnId(), billing, revB, holder2)
	_, err = w.complete(turn.GetConversationId(), "c1", holder1)
	w.ok(err)
	w.write(billing, turn, lease, completed())

	outcomes := w.came("handed_off triage@aaaaaaaaaaaa/1", "completed billing@bbbbbbbbbbbb/2")
	same(w, "tool calls of triage", outcomes[0].GetToolCalls(), 0)
	same(w, "tool calls of billing", outcomes[1].GetToolCalls(), 0)
}

func opinionsOfTurns(w *world) {
	turn, lease := w.running()
	w.write(triage, turn, lease, handoff(triage, billing, nil))

	_, lease = w.lease(turn.GetTurnId(), billing, revB, holder2)
	w.write(billing, turn, lease, message(1, 9), completed())

	liked, disliked := feedback(turn.GetTurnId()), feedback(turn.GetTurnId())
	disliked.GetFeedbackGiven().Rating = eventv1.FeedbackGiven_RATING_DOWN

	_, err := w.append(w.gateway(), turn.GetConversationId(), nil, liked, disliked)
	w.ok(err)

	outcomes := w.came("handed_off triage@aaaaaaaaaaaa/1", "completed billing@bbbbbbbbbbbb/2",
		"thumbs_up billing@bbbbbbbbbbbb/2", "thumbs_down billing@bbbbbbbbbbbb/2")
	same(w, "an opinion uses nothing", outcomes[2].GetUsage().GetInputTokens(), 0)
	same(w, "turn", outcomes[3].GetTurnId(), turn.GetTurnId())
}

// nothingOnRefusal: an outcome is stored with the event that ends a segment, or not at all, and once.
func nothingOnRefusal(w *world) {
	turn, lease := w.running()
	stale := &contextv1.LeaseRef{TurnId: turn.GetTurnId(), Epoch: lease.GetEpoch() - 1}
	_, err := w.append(w.as(triage), turn.GetConversationId(), stale, completed())
	w.refused(err, staleEpoch)
	_, err = w.append(w.as(triage), turn.GetConversationId(), lease, completed(), part("late"))
	same(w, "refused", err != nil, true)
	_, err = w.append(w.as(triage), turn.GetConversationId(), lease, handoff(billing, triage, nil))
	w.refused(err, notOwner)
	w.came()

	request := &contextv1.AppendRequest{
		ConversationId: turn.GetConversationId(), RequestId: "end", Lease: lease, Events: []*eventv1.Event{completed()},
	}

	for range 2 {
		_, err = w.client.Append(w.as(triage), request)
		w.ok(err)
	}

	w.came("completed triage@aaaaaaaaaaaa/1")
}

func reasonsAreShortened(w *world) {
	turn, lease := w.running()
	w.write(triage, turn, lease, failed(strings.Repeat("ä", 1000)))

	same(w, "reason", w.came("failed triage@aaaaaaaaaaaa/1")[0].GetReason(), strings.Repeat("ä", 64))
}

// outputIsTheFirstOnly: what comes later does not move it, and what is empty is no output.
func outputIsTheFirstOnly(w *world) {
	turn, lease := w.running()
	w.write(triage, turn, lease, part(""))

	for range 3 {
		w.clock.advance(time.Second)
		w.write(triage, turn, lease, part("x"))
	}

	w.write(triage, turn, lease, completed())

	same(w, "first output", w.came("completed triage@aaaaaaaaaaaa/1")[0].GetFirstOutput().AsDuration(), time.Second)
}
