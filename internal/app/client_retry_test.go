package app

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := errors.New("failed")
		begin, attempts := time.Now(), 0

		r := newRetry(nil)

		time.Sleep(2 * patience) // a stream that went well for long is no reason to give up at its first cut

		for r.wait(t.Context(), failed) == nil {
			attempts++
		}

		if took := time.Since(begin) - 2*patience; took < patience || took > patience+lastPause {
			t.Errorf("gave up after %s", took)
		}

		if attempts < 20 || attempts > 30 {
			t.Errorf("%d attempts", attempts)
		}

		r.reset()

		if err := r.wait(t.Context(), failed); err != nil {
			t.Errorf("after a reset: %v", err)
		}

		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errLeft)

		if err := r.wait(ctx, failed); !errors.Is(err, errLeft) {
			t.Errorf("cancelled: %v", err)
		}
	})
}
