package ambassador

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// call is one client request on its way through providers, models and keys.
type call struct {
	service *Service
	chat    *chatRequest
	writer  http.ResponseWriter
	// tries so far.
	tries int
	// soonest is when a resting target is back, as a wait; 0 if none rests.
	soonest time.Duration
}

// run goes through the targets in order until one answers. It returns nil then, else the failure to tell.
func (c *call) run(ctx context.Context, targets []target) *failure {
	for round := 0; ; round++ {
		c.soonest = 0

		failed := c.pass(ctx, targets)
		if failed == nil || failed.final() {
			return failed
		}

		// Without a try nobody waits: requests that all rest together would all wake up together.
		wait := backoff(round, c.service.cfg.Retry.Base, c.service.cfg.Retry.MaxWait, c.soonest, c.service.cfg.Rand())
		if c.tries == 0 || c.soonest == 0 || round >= c.service.cfg.Retry.Max || !c.pause(ctx, wait) {
			return c.told(ctx, failed)
		}
	}
}

// told is the failure that the client learns, with the time when a try makes sense again.
func (c *call) told(ctx context.Context, failed *failure) *failure {
	if ctx.Err() != nil {
		return causeOf(ctx)
	}

	if c.soonest > 0 && failed.class.handling().status == http.StatusTooManyRequests {
		failed.retryAfter = c.soonest
	}

	return failed
}

// pass asks every target once, with its own retries. The first target's failure is what is told, unless it only rested
// or somebody else knows better.
func (c *call) pass(ctx context.Context, targets []target) *failure {
	var told *failure

	for _, next := range targets {
		if told != nil && c.tries > 0 && !c.service.budget.withdraw() {
			return told
		}

		failed := c.target(ctx, next)
		if failed == nil || failed.final() || ctx.Err() != nil {
			return failed
		}

		failed.provider = next.provider.Name

		if told == nil || told.class == classCooling || told.class == classBroken {
			told = failed
		}
	}

	return told
}

// target asks one provider for one model, and again while that may help.
func (c *call) target(ctx context.Context, next target) *failure {
	for again := 0; ; again++ {
		failed := c.walk(ctx, next)
		if failed == nil || failed.committed || !failed.class.handling().retry || again >= c.service.cfg.Retry.Max {
			return failed
		}

		retry := c.service.cfg.Retry
		if !c.pause(ctx, backoff(again, retry.Base, retry.MaxWait, failed.retryAfter, c.service.cfg.Rand())) {
			return failed
		}
	}
}

// walk goes through the provider's keys until one is neither resting nor refused. That is not a retry: the provider as
// a whole is well.
func (c *call) walk(ctx context.Context, next target) *failure {
	failed := &failure{class: classCredential, message: "there is no API key"}
	soonest := time.Duration(0)

	for _, key := range next.provider.keys.order() { //nolint:contextcheck // only logs, of all requests' keys
		permit, wait := c.service.cooldowns.enter(next.provider.Name, key, next.model)
		if permit == nil {
			soonest = sooner(soonest, wait)

			if failed.status == 0 {
				failed = c.resting(next)
			}

			continue
		}

		failed = c.try(ctx, next, key, permit)
		if failed == nil || failed.committed || !failed.class.handling().walk {
			return failed
		}

		soonest = sooner(soonest, permit.left())
	}

	if soonest > 0 {
		failed.retryAfter = soonest
		c.soonest = sooner(c.soonest, soonest)
	}

	return failed
}

func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}

	return a
}

func (c *call) try(ctx context.Context, next target, key string, permit *permit) *failure {
	c.tries++

	failed := (&try{
		service: c.service, chat: c.chat, target: next, key: key, number: c.tries, permit: permit, writer: c.writer,
	}).run(ctx)
	if failed != nil && failed.class != classCancelled {
		failed.provider = next.provider.Name
		c.service.cfg.Telemetry.Logger.LogAttrs(ctx, slog.LevelWarn, "provider failed",
			slog.String("provider", next.provider.Name), slog.String("model", next.model),
			slog.String("class", string(failed.class)), slog.Int("status", failed.status),
			slog.Duration("retry_after", failed.retryAfter), slog.Int("try", c.tries))
	}

	return failed
}

// pause waits before a retry. It reports false at once if the wait is too long, would end beyond the deadline, or if
// the budget has no retry left; and when the context ends.
func (c *call) pause(ctx context.Context, wait time.Duration) bool {
	deadline, bounded := ctx.Deadline()
	if wait > c.service.cfg.Retry.MaxWait || bounded && time.Until(deadline) < wait || !c.service.budget.withdraw() {
		return false
	}

	timer := time.NewTimer(wait)
	defer timer.Stop()

	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
