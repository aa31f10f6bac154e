package gateway

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	minBackoff = 25 * time.Millisecond
	maxBackoff = time.Second
)

// backoff grows from 25 ms to 1 s, each time by half to one and a half of the step.
type backoff struct{ step time.Duration }

func (b *backoff) next() time.Duration {
	b.step = min(max(2*b.step, minBackoff), maxBackoff)

	return b.step/2 + rand.N(b.step) //nolint:gosec // jitter needs no secret
}

// wait waits for the next step; false if the context ended.
func (b *backoff) wait(ctx context.Context) bool {
	timer := time.NewTimer(b.next())
	defer timer.Stop()

	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
