package app

import (
	"context"
	"time"
)

const (
	// firstPause and lastPause bound the pauses between attempts to open a stream again.
	firstPause = 100 * time.Millisecond
	lastPause  = 3 * time.Second
	// patience is how long attempts go on without anything new, from the first one that failed.
	patience = 60 * time.Second
)

// retry paces attempts: pauses that double, until patience is at its end.
type retry struct {
	pause    func(context.Context, time.Duration) error
	next     time.Duration
	deadline time.Time
}

// newRetry makes a retry that waits with pause; nil means a timer.
func newRetry(pause func(context.Context, time.Duration) error) *retry {
	if pause == nil {
		pause = sleep
	}

	r := &retry{pause: pause}
	r.reset()

	return r
}

// reset begins anew, after something new came.
func (r *retry) reset() { r.next, r.deadline = firstPause, time.Time{} }

// wait pauses before the next attempt. It returns the last attempt's error once patience is at its end.
func (r *retry) wait(ctx context.Context, last error) error {
	if r.deadline.IsZero() {
		r.deadline = time.Now().Add(patience)
	}

	if time.Now().After(r.deadline) {
		return last
	}

	pause := r.next
	r.next = min(2*r.next, lastPause)

	return r.pause(ctx, pause)
}

func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()

	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx) //nolint:wrapcheck // it is the reason that the caller gave
	}
}
