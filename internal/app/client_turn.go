package app

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// turnWatch follows one turn over as many streams as it takes, and shows every durable event exactly once.
type turnWatch struct {
	client       *client
	conversation string
	// text is the message that starts the turn; empty to follow a turn that was started before.
	text string
	// turn is the turn's id; known once its first event came.
	turn string
	// after is the sequence of the last durable event that was shown.
	after int64
	// show gets every event of the turn.
	show func(*eventv1.Event) error
	// pause waits between attempts; nil means a timer.
	pause func(context.Context, time.Duration) error

	key string
}

// showError marks an error of show, which no new stream would mend.
type showError struct{ err error }

func (e *showError) Error() string { return e.err.Error() }
func (e *showError) Unwrap() error { return e.err }

// run returns the event that ended the turn or made it wait.
func (w *turnWatch) run(ctx context.Context) (*eventv1.Event, error) {
	w.key = "cli-" + rand.Text()

	retry := newRetry(w.pause)

	for {
		before := w.after

		last, err := w.once(ctx)
		if last != nil || !isTransient(err) || ctx.Err() != nil {
			return last, orContext(ctx, err)
		}

		if w.after > before {
			retry.reset()
		}

		if err := retry.wait(ctx, err); err != nil {
			return nil, err
		}
	}
}

// orContext says that the caller gave up, if so, rather than what came of it.
func orContext(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx) //nolint:wrapcheck // it is the reason that the caller gave
	}

	return err
}

// once reads one stream to its end, or to the event that ends the turn.
func (w *turnWatch) once(ctx context.Context) (*eventv1.Event, error) {
	stream, err := w.open(ctx)
	if err != nil {
		return nil, err
	}
	defer stream.close()

	for {
		event, err := stream.next()
		if err != nil {
			return nil, err
		}

		if !w.takes(event) {
			continue
		}

		if err := w.show(event); err != nil {
			return nil, &showError{err}
		}

		if endsTurn(event) {
			return event, nil
		}
	}
}

// open sends the message until the turn is known to be accepted, and follows the log from then on.
func (w *turnWatch) open(ctx context.Context) (*eventStream, error) {
	if w.turn == "" && w.text != "" {
		return w.client.send(ctx, w.conversation, w.text, w.key)
	}

	return w.client.follow(ctx, w.conversation, w.after)
}

// takes reports whether the event is one of the turn that was not shown yet, and remembers it.
func (w *turnWatch) takes(event *eventv1.Event) bool {
	sequence := event.GetSequence()
	if sequence != 0 && sequence <= w.after {
		return false
	}

	w.after = max(w.after, sequence)

	if w.turn == "" {
		w.turn = event.GetTurnId()
	}

	return event.GetTurnId() == w.turn
}

// isTransient reports whether a new stream may get further.
func isTransient(err error) bool {
	if _, shown := errors.AsType[*showError](err); shown {
		return false
	}

	return errors.Is(err, errCut) ||
		slices.Contains([]codes.Code{codes.Unavailable, codes.DeadlineExceeded}, fault.CodeOf(err))
}

// endsTurn reports whether nothing more happens in the turn until someone does something.
func endsTurn(event *eventv1.Event) bool {
	switch event.GetKind().(type) {
	case *eventv1.Event_TurnCompleted, *eventv1.Event_TurnFailed, *eventv1.Event_TurnCancelled, *eventv1.Event_TurnWaiting:
		return true
	default:
		return false
	}
}
