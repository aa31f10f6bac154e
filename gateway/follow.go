package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// maxOddFailures is how often in a row the store's stream may break in a way that is not a restart.
const maxOddFailures = 8

// follower is a reader's place in a log.
type follower struct {
	conversationID string
	// next is the sequence of the next durable event.
	next      int64
	transient bool
	// emit gets events in order, every durable one once; it says when it has enough.
	emit func([]*eventv1.Event) (done bool, err error)

	failures int
}

// emitError marks errors of emit, which end a follower, unlike those of the store's stream.
type emitError struct{ error }

func (e emitError) Unwrap() error { return e.error }

// follow reads a log and what comes after until emit has enough or the context ends, whose cause it returns then. A
// stream that breaks is opened again where it broke.
func (s *Service) follow(ctx context.Context, f *follower) error {
	retry := backoff{}

	for {
		before := f.next

		done, err := s.followOnce(ctx, f)
		if done {
			return nil
		}

		if ctx.Err() != nil {
			return context.Cause(ctx) //nolint:wrapcheck // it is why the stream was ended, made here
		}

		if emitting, ok := errors.AsType[emitError](err); ok {
			return emitting.error
		}

		if f.next > before {
			retry, f.failures = backoff{}, 0
		}

		if !f.mayReopen(err) {
			return err
		}

		s.log.DebugContext(ctx, "log stream broke; opening it again",
			"conversation", f.conversationID, "next", f.next, "error", err.Error())
		retry.wait(ctx)
	}
}

// mayReopen decides whether a broken stream is worth opening again.
func (f *follower) mayReopen(err error) bool {
	if errors.Is(err, io.EOF) {
		return true
	}

	switch fault.CodeOf(err) { //nolint:exhaustive // the others say that the request itself is wrong
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.Canceled, codes.DeadlineExceeded:
		return true
	case codes.Internal, codes.Unknown:
		f.failures++

		return f.failures <= maxOddFailures
	default:
		return false
	}
}

func (s *Service) followOnce(ctx context.Context, f *follower) (done bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	stream, err := s.store.FollowEvents(ctx, &contextv1.FollowEventsRequest{
		ConversationId: f.conversationID, FromSequence: f.next, Transient: f.transient,
	})
	if err != nil {
		return false, err
	}

	for {
		batch, err := stream.Recv()
		if err != nil {
			return false, err
		}

		fresh, err := f.advance(batch.GetEvents())
		if err != nil {
			return false, err
		}

		if len(fresh) == 0 {
			continue
		}

		if done, err = f.emit(fresh); err != nil {
			return false, emitError{err}
		}

		if done {
			return true, nil
		}
	}
}

// advance drops events that were there before, and refuses a gap.
func (f *follower) advance(events []*eventv1.Event) ([]*eventv1.Event, error) {
	fresh := events[:0:0]

	for _, event := range events {
		sequence := event.GetSequence()

		switch {
		case sequence == 0:
			fresh = append(fresh, event)
		case sequence == f.next:
			fresh = append(fresh, event)
			f.next++
		case sequence > f.next:
			return nil, fmt.Errorf("log of %s: event %d came instead of %d", f.conversationID, sequence, f.next)
		}
	}

	return fresh, nil
}
