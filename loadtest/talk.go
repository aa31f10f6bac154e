package loadtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

// ending is how a conversation ended.
type ending int

const (
	finished ending = iota
	refused
	abandoned
)

// talk is one user with one conversation.
type talk struct {
	load     *Load
	number   int
	intended time.Time
	random   *mathrand.Rand
	ledger   *ledger
	found    []Violation
}

func newTalk(load *Load, number int, intended time.Time) *talk {
	seed := mathrand.NewPCG(load.cfg.Seed, uint64(number)+2) //nolint:gosec // it counts from 0

	return &talk{load: load, number: number, intended: intended, random: mathrand.New(seed)} //nolint:gosec // load, not secrets
}

func (t *talk) run() {
	t.load.record.opened(t.intended, t.load.cfg.Now().Sub(t.intended))

	how := t.converse()
	t.load.record.closed(t.found, how)
}

// converse opens the conversation and says everything.
func (t *talk) converse() ending {
	if err := t.open(); err != nil {
		return t.gaveUp(fmt.Sprintf("the conversation was not opened: %v", err))
	}

	scenario := t.load.cfg.Scenario
	dialogue := scenario.Dialogues[t.random.IntN(len(scenario.Dialogues))]
	intended := t.intended

	for i := range scenario.Turns {
		if t.load.hungup.Err() != nil {
			return abandoned
		}

		turn := t.say(dialogue[i%len(dialogue)], i, intended)
		t.load.record.turn(turn)

		switch {
		case turn.state == unended:
			return abandoned
		case turn.broken:
			return refused
		case i < scenario.Turns-1:
			var thought bool
			if intended, thought = t.think(turn.ended); !thought {
				return abandoned
			}
		}
	}

	return t.audit()
}

// gaveUp tells why the conversation can't be gone on with, unless the load itself is at its end.
func (t *talk) gaveUp(why string) ending {
	if t.load.ctx.Err() != nil {
		return abandoned
	}

	violation := Violation{Kind: kindFailed, Time: t.load.cfg.Now(), Text: why}
	if t.ledger != nil {
		violation.Conversation = t.ledger.conversation
	}

	t.found = append(t.found, violation)

	return refused
}

func (t *talk) open() error {
	ctx, cancel := context.WithDeadline(t.load.ctx, t.intended.Add(t.load.cfg.TurnTimeout))
	defer cancel()

	key := rand.Text()

	for attempt := 0; ; attempt++ {
		opened, err := t.load.client.create(ctx, t.load.cfg.Scenario.Agent, key)
		if err == nil {
			t.ledger = newLedger(opened.GetConversationId(), opened.GetVersion())

			return nil
		}

		if !transient(err) || pause(ctx, attempt) != nil {
			return err
		}
	}
}

// think waits until the next message, and returns when it should be sent; false if it should not.
func (t *talk) think(since time.Time) (time.Time, bool) {
	intended := since.Add(time.Duration(t.random.ExpFloat64() * float64(t.load.cfg.Scenario.Think)))

	timer := time.NewTimer(intended.Sub(t.load.cfg.Now()))
	defer timer.Stop()

	select {
	case <-timer.C:
		return intended, true
	case <-t.load.hungup.Done():
		return intended, false
	}
}

// audit compares the stored log with what was streamed of it.
func (t *talk) audit() ending {
	if !t.load.cfg.Audit {
		return finished
	}

	ctx, cancel := context.WithTimeout(t.load.ctx, t.load.cfg.TurnTimeout)
	defer cancel()

	for attempt := 0; ; attempt++ {
		stored, err := t.load.client.events(ctx, t.ledger.conversation, 1)
		if err == nil {
			t.found = append(t.found, t.ledger.compare(stored)...)

			return finished
		}

		if !transient(err) || pause(ctx, attempt) != nil {
			return t.gaveUp(fmt.Sprintf("the log was not read: %v", err))
		}
	}
}

// errCut says that a stream ended before the turn did.
var errCut = errors.New("the stream was cut")

// transient reports whether trying again may get further. What ran out of time may have been done: the key says so.
func transient(err error) bool {
	code := fault.CodeOf(err)

	return errors.Is(err, errCut) || code == codes.Unavailable || code == codes.DeadlineExceeded
}

// pause waits before the next attempt: 20 ms at first, doubling up to 640 ms.
func pause(ctx context.Context, attempt int) error {
	timer := time.NewTimer(20 * time.Millisecond << min(attempt, 5))
	defer timer.Stop()

	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx) //nolint:wrapcheck // it is why the caller gave up
	}
}
