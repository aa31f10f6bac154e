package agent

import (
	"context"
	"sync/atomic"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
)

// relayGrace is how long a relay waits for the segment's last events after the segment has ended.
const relayGrace = 2 * time.Second

// relay sends the segment's events, durable and transient, as the store shows them. It returns when the last one was
// sent; only the caller's going away is an error.
func (s *Service) relay(ctx context.Context, t *tenure, send func(*handoffv1.HandoffResponse) error) error {
	following, cancel := context.WithCancel(ctx)
	defer cancel()

	follow, err := s.config.Context.FollowEvents(following, &contextv1.FollowEventsRequest{
		ConversationId: t.conversation, FromSequence: t.lease.GetVersion(), Transient: true,
	})
	if err != nil {
		return nil // the segment goes on, and its end is reported all the same
	}

	var sent atomic.Int64

	ended := make(chan struct{})
	defer func() { <-ended }()

	go func() {
		defer close(ended)

		s.endRelay(following, t, &sent, cancel)
	}()
	defer cancel()

	for !t.over() || sent.Load() < t.last {
		batch, err := follow.Recv()
		if err != nil {
			return ctx.Err()
		}

		for _, event := range batch.GetEvents() {
			if err := t.forward(event, send); err != nil {
				return err
			}

			sent.Store(max(sent.Load(), event.GetSequence()))
		}
	}

	return nil
}

// endRelay cancels a relay that has nothing more to wait for.
func (s *Service) endRelay(ctx context.Context, t *tenure, sent *atomic.Int64, cancel context.CancelFunc) {
	select {
	case <-t.done:
	case <-ctx.Done():
		return
	}

	if sent.Load() >= t.last {
		cancel()

		return
	}

	grace := time.NewTimer(relayGrace)
	defer grace.Stop()

	select {
	case <-grace.C:
		cancel()
	case <-ctx.Done():
	}
}

// forward sends the events of the tenure's own segment, and those of its turn that belong to none.
func (t *tenure) forward(event *eventv1.Event, send func(*handoffv1.HandoffResponse) error) error {
	segment := t.lease.GetTurn().GetSegment()
	if event.GetTurnId() != t.turnID || (event.GetSegment() != segment && event.GetSegment() != 0) {
		return nil
	}

	return send(&handoffv1.HandoffResponse{Report: &handoffv1.HandoffResponse_Event{Event: event}})
}

// over reports whether the segment has ended for this process.
func (t *tenure) over() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}
