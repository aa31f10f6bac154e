package drain_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serinhq/serin/internal/drain"
)

var errBroken = errors.New("broken")

func untilEnd(ctx context.Context) error {
	<-ctx.Done()

	return ctx.Err()
}

func failAfter(wait time.Duration, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(wait):
			return err
		case <-ctx.Done():
			return errors.New("a failure caused by the first one")
		}
	}
}

func TestFirstFailureCancelsAllAndIsReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		err := drain.Run(t.Context(),
			drain.Task{Name: "server", Run: untilEnd},
			drain.Task{Name: "database", Run: failAfter(time.Second, errBroken)},
			drain.Task{Name: "late", Run: failAfter(time.Hour, errors.New("never"))},
		)

		if !errors.Is(err, errBroken) || err.Error() != "database: broken" {
			t.Errorf("Run() = %v, want database: broken", err)
		}

		if ran := time.Since(started); ran != time.Second {
			t.Errorf("ran for %s, want 1s", ran)
		}
	})
}

func TestEndOfContextIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		if err := drain.Run(ctx, drain.Task{Name: "a", Run: untilEnd}, drain.Task{Name: "b", Run: untilEnd}); err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	})
}

func TestFailureWhileEndingIsReported(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	err := drain.Run(ctx, drain.Task{Name: "flush", Run: func(context.Context) error { return errBroken }})
	if !errors.Is(err, errBroken) {
		t.Errorf("Run() = %v, want that flushing failed", err)
	}
}

func TestDoneTaskLeavesOthersRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var finished atomic.Bool

		err := drain.Run(t.Context(),
			drain.Task{Name: "once", Run: func(context.Context) error { return nil }},
			drain.Task{Name: "long", Run: func(ctx context.Context) error {
				select {
				case <-ctx.Done():
				case <-time.After(time.Minute):
					finished.Store(true)
				}

				return nil
			}},
		)
		if err != nil || !finished.Load() {
			t.Errorf("Run() = %v, finished = %v", err, finished.Load())
		}
	})
}

func TestCancelledTaskOfALivingGroupFails(t *testing.T) {
	err := drain.Run(t.Context(), drain.Task{Name: "odd", Run: func(context.Context) error { return context.Canceled }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Run() = %v: nobody cancelled the group, so this is a failure", err)
	}
}
