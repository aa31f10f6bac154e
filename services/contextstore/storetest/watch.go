package storetest

import (
	"context"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/services/contextstore"
)

func watchTests() map[string]func(*world) {
	return map[string]func(*world){
		"FirstAnswerComesAtOnce":   firstAnswerComesAtOnce,
		"OutcomesAsTheyCome":       outcomesAsTheyCome,
		"FromAPosition":            fromAPosition,
		"OnlyWhatIsToCome":         onlyWhatIsToCome,
		"OneAgentsOutcomes":        oneAgentsOutcomes,
		"ManyOutcomesArePaged":     manyOutcomesArePaged,
		"WatchersUnderLoad":        watchersUnderLoad,
		"SlowWatcherMissesNothing": slowWatcherMissesNothing,
		"OutcomesSurviveRestarts":  outcomesSurviveRestarts,
		"WatchSeesOtherStore":      watchSeesOtherStore,
		"WatchEndsWithDrain":       watchEndsWithDrain,
	}
}

// watcher is a WatchOutcomes stream.
type watcher struct {
	*world

	stream interface {
		Recv() (*contextv1.WatchOutcomesResponse, error)
	}
	cancel context.CancelFunc
	ahead  []*contextv1.Outcome
}

// watch opens a stream as the controller.
func (w *world) watch(from int64, agent string) *watcher {
	w.Helper()

	ctx, cancel := context.WithTimeout(w.as(rpc.Controller), 2*patience)
	w.Cleanup(cancel)

	stream, err := w.client.WatchOutcomes(ctx, &contextv1.WatchOutcomesRequest{FromPosition: from, Agent: agent})
	w.ok(err)

	return &watcher{world: w, stream: stream, cancel: cancel}
}

// answer returns the next message.
func (o *watcher) answer() *contextv1.WatchOutcomesResponse {
	o.Helper()

	response, err := o.stream.Recv()
	o.ok(err)

	return response
}

// next returns the next outcome.
func (o *watcher) next() *contextv1.Outcome {
	o.Helper()

	for len(o.ahead) == 0 {
		o.ahead = o.answer().GetOutcomes()
	}

	outcome := o.ahead[0]
	o.ahead = o.ahead[1:]

	return outcome
}

// fill adds outcomes to the store, as segments that nobody ran.
func (w *world) fill(n int, agent string) {
	w.Helper()
	w.ok(w.store.Update(w.Context(), contextstore.About{}, func(tx contextstore.Tx) error {
		for i := range n {
			if err := tx.InsertOutcome(&contextv1.Outcome{
				Kind: contextv1.Outcome_KIND_COMPLETED, Agent: agent, Revision: revA, TurnId: strconv.Itoa(i),
				EndedAt: timestamppb.New(w.clock.Now()),
			}); err != nil {
				return err
			}
		}

		return nil
	}))
}

// finish runs a turn of triage to its end.
func (w *world) finish() {
	w.Helper()

	turn, lease := w.running()
	w.write(triage, turn, lease, completed())
}

func firstAnswerComesAtOnce(w *world) {
	first := w.watch(0, "").answer()
	same(w, "outcomes", len(first.GetOutcomes()), 0)
	same(w, "position", first.GetPosition(), 0)

	w.fill(3, triage)
	first = w.watch(0, billing).answer()
	same(w, "outcomes of another agent", len(first.GetOutcomes()), 0)
	same(w, "position", first.GetPosition(), 3)
}

func outcomesAsTheyCome(w *world) {
	watcher := w.watch(0, "")
	watcher.answer()

	for i := range int64(3) {
		w.finish()

		response := watcher.answer()
		same(w, "outcomes", len(response.GetOutcomes()), 1)
		same(w, "position", response.GetOutcomes()[0].GetPosition(), i+1)
		same(w, "last position", response.GetPosition(), i+1)
	}
}

func fromAPosition(w *world) {
	w.fill(5, triage)
	same(w, "position", w.watch(1, "").next().GetPosition(), 1)
	same(w, "position", w.watch(4, "").next().GetPosition(), 4)

	future := w.watch(7, "")
	same(w, "nothing yet", len(future.answer().GetOutcomes()), 0)
	w.finish()
	w.finish()
	same(w, "position", future.next().GetPosition(), 7)
}

func onlyWhatIsToCome(w *world) {
	w.fill(5, triage)

	watcher := w.watch(-1, "")
	first := watcher.answer()
	same(w, "outcomes", len(first.GetOutcomes()), 0)
	same(w, "position", first.GetPosition(), 5)

	w.finish()
	same(w, "position", watcher.next().GetPosition(), 6)
}

func oneAgentsOutcomes(w *world) {
	for range 3 {
		w.fill(1, billing)
		w.fill(2, triage)
	}

	watcher := w.watch(2, triage)
	for _, want := range []int64{2, 3, 5, 6, 8, 9} {
		same(w, "position", watcher.next().GetPosition(), want)
	}

	w.fill(1, billing)
	w.finish()
	same(w, "position", watcher.next().GetPosition(), 11)
}

func manyOutcomesArePaged(w *world) {
	const many = 2500

	w.fill(many, triage)

	for _, agent := range []string{"", triage} {
		watcher := w.watch(0, agent)
		for i := range int64(many) {
			same(w, "position", watcher.next().GetPosition(), i+1)
		}

		w.finish()
		same(w, "agent of what comes then", watcher.next().GetAgent(), triage)
	}
}

// watchersUnderLoad: readers that come at any time get every outcome once and in order, while several turns end at once.
func watchersUnderLoad(w *world) {
	const turns = 60

	var (
		leases  = make([]*contextv1.LeaseRef, turns)
		running = make([]*contextv1.Turn, turns)
		group   sync.WaitGroup
	)

	for i := range turns {
		running[i], leases[i] = w.running()
	}

	for range 6 {
		group.Go(func() {
			watcher, seen := w.watch(0, ""), map[string]bool{}

			for last := int64(0); len(seen) < turns; {
				outcome := watcher.next()
				if outcome.GetPosition() <= last || seen[outcome.GetTurnId()] {
					w.Errorf("outcome %v came after %d", outcome, last)
				}

				last, seen[outcome.GetTurnId()] = outcome.GetPosition(), true
			}
		})
	}

	parallel(turns, func(i int) {
		if _, err := w.client.Append(w.as(triage), &contextv1.AppendRequest{
			ConversationId: running[i].GetConversationId(), RequestId: "end", Lease: leases[i],
			Events: []*eventv1.Event{completed()},
		}); err != nil {
			w.Error(err)
		}
	})
	group.Wait()
}

// slowWatcherMissesNothing: flow control holds the reader up while far more comes than any buffer holds.
func slowWatcherMissesNothing(w *world) {
	const fills, each = 20, 1000

	watcher := w.watch(0, "")
	watcher.answer()

	for range fills {
		w.fill(each, triage)
		w.finish() // which wakes the reader
	}

	for i := range int64(fills * (each + 1)) {
		same(w, "position", watcher.next().GetPosition(), i+1)
	}
}

func outcomesSurviveRestarts(w *world) {
	w.finish()

	later := newWorldWith(w.tester, contextstore.Config{Store: unclosed{w.store}})
	watcher := later.watch(0, "")
	same(w, "position", watcher.next().GetPosition(), 1)

	turn, lease := w.running()
	later.write(triage, turn, lease, completed())
	same(w, "position", watcher.next().GetPosition(), 2)
}

// watchSeesOtherStore: another process over the same store ends a turn, so that no notice comes.
func watchSeesOtherStore(w *world) {
	watches := newWorldWith(w.tester, contextstore.Config{Store: unclosed{w.store}, FollowPoll: 10 * time.Millisecond})
	watcher := watches.watch(0, "")
	watcher.answer()
	w.finish()
	same(w, "position", watcher.next().GetPosition(), 1)
}

func watchEndsWithDrain(w *world) {
	watcher := w.watch(0, "")
	watcher.answer()
	w.service.Drain()

	_, err := watcher.stream.Recv()
	w.refused(err, "DRAINING")
}
