package drain_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/drain"
	"github.com/serinhq/serin/internal/fault"
)

func enter(t *testing.T, gate *drain.Gate) func() {
	t.Helper()

	leave, err := gate.Enter()
	if err != nil {
		t.Fatal(err)
	}

	return leave
}

func TestGateCountsWork(t *testing.T) {
	var gate drain.Gate

	first, second := enter(t, &gate), enter(t, &gate)
	if got := gate.Active(); got != 2 {
		t.Fatalf("Active() = %d with two inside", got)
	}

	first()
	first() // leaving twice counts once

	if got := gate.Active(); got != 1 {
		t.Fatalf("Active() = %d with one inside", got)
	}

	second()
}

func TestClosedGateRefuses(t *testing.T) {
	var gate drain.Gate

	gate.Close()
	gate.Close()

	_, err := gate.Enter()
	if !fault.Is(err, "DRAINING") || fault.CodeOf(err) != codes.Unavailable || fault.From(err).RetryAfter == 0 {
		t.Errorf("Enter() after Close() = %v, want UNAVAILABLE (DRAINING) with a time to retry after", err)
	}
}

func TestWaitReturnsWhenTheLastLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gate drain.Gate

		for _, lasts := range []time.Duration{time.Second, 3 * time.Second, 2 * time.Second} {
			leave := enter(t, &gate)
			time.AfterFunc(lasts, leave)
		}

		gate.Close()

		started := time.Now()
		done := make(chan error, 2)

		for range cap(done) {
			go func() { done <- gate.Wait(t.Context()) }()
		}

		for range cap(done) {
			if err := <-done; err != nil {
				t.Errorf("Wait() = %v", err)
			}
		}

		if waited := time.Since(started); waited != 3*time.Second {
			t.Errorf("waited %s, want as long as the longest: 3s", waited)
		}
	})
}

func TestWaitGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gate drain.Gate
		defer enter(t, &gate)()

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()

		err := gate.Wait(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "1 still under way: context deadline exceeded" {
			t.Errorf("Wait() = %v", err)
		}
	})
}

func TestWaitOnIdleGateReturnsAtOnce(t *testing.T) {
	var gate drain.Gate
	if err := gate.Wait(t.Context()); err != nil {
		t.Error(err)
	}

	leave := enter(t, &gate)
	leave()

	if err := gate.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}
