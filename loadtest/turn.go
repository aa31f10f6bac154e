package loadtest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// state is how a turn ended.
type state int

const (
	unended state = iota
	waiting
	completed
	failed
	cancelled
)

// turn is one message and what came of it.
type turn struct {
	intended, ended, firstText time.Time
	state                      state
	// reason and message say why it failed.
	reason, message string
	// broken says that the conversation can't be gone on with: the turn did not end, or was refused.
	broken             bool
	retries, approvals int
	seen               sight
	asked              map[string]eventv1.InputRequested_Kind
}

func (t *turn) took() time.Duration { return t.ended.Sub(t.intended) }

// reasonTimeout is the reason of turns that did not end in time.
const reasonTimeout = "TIMEOUT"

// say sends a message and follows its turn to the end, over as many streams as it takes.
func (t *talk) say(text string, number int, intended time.Time) *turn {
	made := &turn{intended: intended, asked: map[string]eventv1.InputRequested_Kind{}}
	t.ledger.begin()

	ctx, cancel := context.WithDeadline(t.load.ctx, intended.Add(t.load.cfg.TurnTimeout))
	defer cancel()

	err := t.follow(ctx, made, text, "turn-"+strconv.Itoa(number))

	if err != nil || made.ended.IsZero() {
		made.ended = t.load.cfg.Now()
	}

	if err != nil && t.load.ctx.Err() == nil {
		made.state, made.broken, made.reason, made.message = failed, true, reasonTimeout, err.Error()
		if ctx.Err() == nil {
			made.reason = fault.From(err).Reason
		}
	} else if err != nil {
		made.state = unended
	}

	if made.state == failed {
		t.ledger.violate(kindFailed, &eventv1.Event{Sequence: t.ledger.next - 1}, "%s: %s (the message was %q)", made.reason, made.message, text)
	}

	made.seen = t.ledger.turn

	return made
}

// follow goes on until the turn ended. The error says why it can not.
func (t *talk) follow(ctx context.Context, made *turn, text, key string) error {
	for attempt := 0; ; {
		before := t.ledger.next

		var err error
		if made.state != waiting { // or else an answer did not arrive, and no stream will bring anything before it does
			err = t.stream(ctx, made, text, key)
		}

		switch {
		case err == nil && made.state == waiting:
			if err = t.answer(ctx, made); err == nil {
				made.state = unended

				continue
			}
		case err == nil:
			return nil
		}

		if !transient(err) {
			return err
		}

		if t.ledger.next > before {
			attempt = 0
		}

		made.retries++

		if pause(ctx, attempt) != nil {
			return err
		}

		attempt++
	}
}

// linger is how long a stream may take to end after its turn did; then its connection can be used again.
const linger = 250 * time.Millisecond

// stream reads one stream to the turn's end, or until it waits.
func (t *talk) stream(ctx context.Context, made *turn, text, key string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	body, err := t.load.client.say(ctx, t.ledger.conversation, text, key, t.ledger.next-1)
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // nothing was written

	buffer := t.load.buffers.get()
	defer t.load.buffers.put(buffer)

	for stream := newFrames(body, *buffer); ; {
		frame, err := stream.next()
		if err != nil {
			return errCut
		}

		if made.firstText.IsZero() && (string(frame.name) == "text_delta" || string(frame.name) == "turn_completed") {
			made.firstText = t.load.cfg.Now()
		}

		if string(frame.name) == "error" {
			return fault.FromHTTP(http.StatusInternalServerError, frame.data)
		}

		if !frame.durable {
			continue
		}

		event := &eventv1.Event{}
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(frame.data, event); err != nil {
			return fmt.Errorf("an event can't be read: %w", err)
		}

		done, err := t.take(ctx, made, event)
		if err != nil {
			return err
		}

		if done {
			made.ended = t.load.cfg.Now()

			lingering := time.AfterFunc(linger, cancel)
			defer lingering.Stop()

			_, _ = io.Copy(io.Discard, body) // whatever it is, the turn ended

			return nil
		}
	}
}

// take notes an event, after those that are missing before it: events of others may be between two turns.
func (t *talk) take(ctx context.Context, made *turn, event *eventv1.Event) (done bool, err error) {
	if t.ledger.missing(event.GetSequence()) > 0 {
		if err := t.fill(ctx, event); err != nil {
			return false, err
		}
	}

	if !t.ledger.take(event) {
		return false, nil
	}

	if t.load.cfg.OnEvent != nil {
		t.load.cfg.OnEvent(event)
	}

	return made.apply(event), nil
}

// fill reads what the stream left out. Only what belongs to the turn should have been in it.
func (t *talk) fill(ctx context.Context, before *eventv1.Event) error {
	stored, err := t.load.client.events(ctx, t.ledger.conversation, t.ledger.next)
	if err != nil {
		return err
	}

	for _, event := range stored {
		if event.GetSequence() >= before.GetSequence() {
			break
		}

		if event.GetTurnId() == before.GetTurnId() {
			t.ledger.violate(kindLost, event, "is in the log, and was not streamed")
		}

		t.ledger.take(event)
	}

	return nil
}

// apply reports whether the turn ended or waits with this event.
func (t *turn) apply(event *eventv1.Event) bool {
	switch kind := event.GetKind().(type) {
	case *eventv1.Event_InputRequested:
		t.asked[kind.InputRequested.GetCallId()] = kind.InputRequested.GetKind()
	case *eventv1.Event_InputResolved:
		delete(t.asked, kind.InputResolved.GetCallId())
	case *eventv1.Event_TurnWaiting:
		t.state = waiting
	case *eventv1.Event_TurnCompleted:
		t.state = completed
	case *eventv1.Event_TurnCancelled:
		t.state = cancelled
	case *eventv1.Event_TurnFailed:
		t.state, t.reason, t.message = failed, kind.TurnFailed.GetReason(), kind.TurnFailed.GetMessage()
	default:
		return false
	}

	return t.state != unended && (t.state != waiting || event.GetTurnWaiting() != nil)
}

// answer decides about everything that is asked.
func (t *talk) answer(ctx context.Context, made *turn) error {
	for call, kind := range made.asked {
		decision := t.load.cfg.Decide(t.ledger.conversation, call, kind)
		if err := t.load.client.approve(ctx, t.ledger.conversation, call, decision); err != nil && !fault.Is(err, "INPUT_RESOLVED") {
			return err
		}

		made.approvals++
	}

	return nil
}
