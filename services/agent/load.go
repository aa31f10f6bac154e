package agent

import (
	"context"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// readPage is how many events are asked for at once.
const readPage = 1000

// saveTimeout bounds saving a checkpoint, and so how long that may hold back the end of a segment.
const saveTimeout = 5 * time.Second

// maxReloads bounds how often one execution reads the log again: each time it learns more, so that few are enough.
const maxReloads = 3

// load folds the conversation's log up to the lease. If many events came since the last checkpoint, what precedes the
// turn becomes a new one in the background: a state between turns is the smallest, and the lease permits to save it now.
func (x *execution) load() error {
	acquired := x.tenure.lease
	from := decode(acquired.GetCheckpoint())

	if from == nil {
		from = newState()
	}

	base := from.sequence
	accepted := acquired.GetTurn().GetAcceptedSequence()

	for from.sequence < max(acquired.GetVersion(), x.journal.last) {
		events, err := x.read(from.sequence + 1)
		if err != nil {
			return err
		}

		if len(events) == 0 {
			break
		}

		for _, event := range events {
			if event.GetSequence() == accepted && accepted-1-base > checkpointAfter {
				x.save(from)
			}

			from.apply(event)
			x.resumed(event)
		}
	}

	x.state = from
	x.adopt(acquired.GetTurn())

	return nil
}

// resumed notes that this execution goes on with what another one began, if it learns so from the log.
func (x *execution) resumed(event *eventv1.Event) {
	if event.GetEpoch() != x.tenure.ref().GetEpoch() || x.reloads > 0 {
		return
	}

	switch event.GetKind().(type) {
	case *eventv1.Event_SegmentRestarted:
		x.service.metrics.resumed(x.life, "restarted")
	case *eventv1.Event_SegmentResumed:
		x.service.metrics.resumed(x.life, "answered")
	}
}

// overtaken reports whether the store refused events since the log says more than this execution knew: a tool service told
// late what became of a call, or had begun one that seemed not to have begun.
func overtaken(err error) bool { return fault.Is(err, "CALL_COMPLETED", "OUTCOME_NOT_KNOWN") }

// reload forgets what was refused and folds the log anew; then the execution decides again.
func (x *execution) reload() error {
	x.logger.InfoContext(x.work, "reading the log again: it has gone on")

	x.pending = nil

	return x.load()
}

// adopt takes from the stored turn what the store alone decides.
func (x *execution) adopt(stored *contextv1.Turn) {
	x.state.turn.budget = stored.GetBudget()

	if stored.GetCancelRequested() && x.state.turn.cancel == nil {
		x.state.turn.cancel = &cancellation{}
	}
}

func (x *execution) read(sequence int64) ([]*eventv1.Event, error) {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		page, err := x.service.config.Context.ReadEvents(x.work, &contextv1.ReadEventsRequest{
			ConversationId: x.tenure.conversation, FromSequence: sequence, Limit: readPage,
		})
		if err == nil {
			return page.GetEvents(), nil
		}

		if x.work.Err() != nil {
			return nil, x.cause()
		}

		if !retryable(err) {
			return nil, fault.From(err)
		}

		pause(x.work, wait)
	}
}

// save stores a checkpoint of a state between turns in the background. Failing costs only time later.
func (x *execution) save(s *state) {
	encoded, err := s.encode()
	if err != nil {
		return
	}

	encoded.ConversationId = x.tenure.conversation

	ctx, cancel := context.WithTimeout(x.work, saveTimeout) // here, since the segment's own goroutine sets x.work later

	x.helpers.Go(func() {
		defer cancel()

		_, err := x.service.config.Context.SaveCheckpoint(ctx, &contextv1.SaveCheckpointRequest{
			Lease: x.tenure.ref(), Checkpoint: encoded,
		})
		if err != nil {
			x.logger.DebugContext(ctx, "checkpoint not saved", "error", err)
		}
	})
}
