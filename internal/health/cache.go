package health

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// The states of a check and of a probe.
const (
	statusOK          = "ok"
	statusFailed      = "failed"
	statusDegraded    = "degraded"
	statusUnavailable = "unavailable"
)

// failureTTL keeps a failure for less time than a success, so that recovery shows soon and probes are still no load.
const failureTTL = 50 * time.Millisecond

// movingTTL keeps a success that does not count yet.
const movingTTL = time.Second

var errSlow = fmt.Errorf("no answer within %s", Timeout)

// cachedCheck keeps a check's last result for its TTL.
type cachedCheck struct {
	check    Check
	flight   singleflight.Group
	standing *standing

	mu    sync.Mutex
	err   error
	until time.Time
}

func newCachedCheck(check Check) *cachedCheck {
	if check.TTL == 0 {
		check.TTL = DefaultTTL
	}

	return &cachedCheck{check: check, standing: newStanding(check.Grace)}
}

func (c *cachedCheck) result(ctx context.Context) Result {
	result := Result{Name: c.check.Name, Status: statusOK, Informative: c.check.Informative}
	if err := c.outcome(ctx); err != nil {
		result.Status, result.Error = statusFailed, err.Error()
	}

	c.standing.tell(&result)

	return result
}

func (c *cachedCheck) outcome(ctx context.Context) error {
	if err, fresh := c.cached(); fresh {
		return err
	}

	ctx, cancel := context.WithTimeoutCause(ctx, Timeout, errSlow)
	defer cancel()

	select {
	case answer := <-c.flight.DoChan("", func() (any, error) { return nil, c.run(ctx) }):
		return answer.Err
	case <-ctx.Done(): // the check ignores its context; it goes on alone, and nobody starts it a second time
		err := context.Cause(ctx)
		if errors.Is(err, errSlow) {
			c.standing.note(time.Now(), Timeout, err)
		}

		return err //nolint:wrapcheck // errSlow, or why the probe was given up: complete as it is
	}
}

// cached returns the last outcome, and whether it is still good.
func (c *cachedCheck) cached() (outcome error, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.err, time.Now().Before(c.until)
}

// run is detached from the probe that caused it: others wait for the same result.
func (c *cachedCheck) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), Timeout, errSlow)
	defer cancel()

	began := time.Now()

	err := protect(ctx, c.check.Func)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}

	c.standing.note(time.Now(), time.Since(began), err)

	c.mu.Lock()
	defer c.mu.Unlock()

	ttl := c.check.TTL

	switch {
	case err != nil:
		ttl = min(ttl, failureTTL)
	case c.standing.moving(): // a kept result would make its grace longer
		ttl = min(ttl, movingTTL)
	}

	c.err, c.until = err, time.Now().Add(ttl)

	return err //nolint:wrapcheck // what the check itself says
}

// protect turns a panic into an error: a check must not end the process that it checks.
func protect(ctx context.Context, check func(context.Context) error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("the check panicked: %v", value)
		}
	}()

	return check(ctx)
}
