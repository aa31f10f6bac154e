package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// appendTimeout bounds one attempt to append; attempts go on for as long as the lease lasts.
const appendTimeout = 2 * time.Second

// journal appends a tenure's events, a batch at a time, under request ids that say turn, epoch and number.
type journal struct {
	store        contextv1.ContextServiceClient
	conversation string
	ref          *contextv1.LeaseRef

	mu      sync.Mutex
	batches int
	// last is the sequence that the log ended with after the last append, turn the turn as it was then.
	last int64
	turn *contextv1.Turn
}

// append stores events in one transaction and tries for as long as ctx, the tenure's life, lasts.
func (j *journal) append(ctx context.Context, events []*eventv1.Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()

	j.batches++
	request := &contextv1.AppendRequest{
		ConversationId: j.conversation, Lease: j.ref, Events: events,
		RequestId: fmt.Sprintf("%s/%d/%d", j.ref.GetTurnId(), j.ref.GetEpoch(), j.batches),
	}

	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		answer, err := j.try(ctx, request)
		if err == nil {
			j.last, j.turn = answer.GetVersion(), answer.GetTurn()

			return nil
		}

		if ctx.Err() != nil || !retryable(err) {
			return fault.From(err)
		}

		pause(ctx, wait)
	}
}

func (j *journal) try(ctx context.Context, request *contextv1.AppendRequest) (*contextv1.AppendResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()

	return j.store.Append(ctx, request)
}

// lostTurn reports whether an error says that the turn is no longer this process's, or that there is none any more: its
// conversation may be deleted while it runs.
func lostTurn(err error) bool {
	return fault.Is(err, "STALE_EPOCH", "TURN_ENDED", "NO_ACTIVE_TURN", "TURN_WAITING", "NOT_OWNER", "CONVERSATION_NOT_FOUND",
		"TURN_NOT_FOUND")
}
