package gateway

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

// OnLoss is what happens to a request that needs Redis while Redis does not answer.
type OnLoss string

const (
	// Open lets the gateway go on as if there were no Redis: by what this process knows.
	Open OnLoss = "open"
	// Closed refuses the request with UNAVAILABLE.
	Closed OnLoss = "closed"
)

// Sharing says how a gateway uses a [Redis].
//
// What is shared, and what is kept elsewhere: rate limits are in Redis alone; without one each gateway limits by itself.
// Idempotency keys of what is done to conversations (open, message, feedback) are in the context store with what they did,
// in one transaction, as are cancels and approvals, which need no key: that holds for all gateways and for ever, and Redis
// has no part in it. Idempotency keys of what is done to rollouts are in Redis, for a day or as long as its memory lasts;
// without one a gateway knows those that came to itself since it was started.
type Sharing struct {
	// Timeout is what one call may take; default 50 ms.
	Timeout agentspec.Duration `json:"timeout,omitempty"`
	// Limits is what happens to requests that a limit concerns: open (the default) or closed.
	Limits OnLoss `json:"limits,omitempty"`
	// Keys is what happens to requests that steer rollouts and have an idempotency key: closed (the default), because whoever
	// sends one would rather have nothing done than the same twice, or open.
	Keys OnLoss `json:"keys,omitempty"`
}

func (s Sharing) check(field string, add func(field, format string, args ...any)) {
	if timeout := time.Duration(s.Timeout); timeout < 0 || timeout > mostRedisTimeout || timeout > 0 && timeout < time.Millisecond {
		add(field+".timeout", "%s: must be from 1ms to %s", timeout, mostRedisTimeout)
	}

	s.Limits.check(field+".limits", add)
	s.Keys.check(field+".keys", add)
}

func (o OnLoss) check(field string, add func(field, format string, args ...any)) {
	if o != "" && o != Open && o != Closed {
		add(field, "%q: must be open or closed", o)
	}
}

// sharing is a use of Redis, and what happens without it.
type sharing struct {
	redis   *Redis
	use     string
	onLoss  OnLoss
	metrics *metrics
}

// count notes what a call came to.
func (s sharing) count(ctx context.Context, err error) {
	s.metrics.redisCall(ctx, redisKey{use: s.use, outcome: redisOutcome(err), onLoss: s.onLoss})
}

// sharedBuckets are those of all gateways, or what happens without them.
type sharedBuckets struct {
	sharing

	theirs, own buckets
}

func (b *sharedBuckets) take(ctx context.Context, key bucketKey) (time.Duration, error) {
	wait, err := b.theirs.take(ctx, key)
	b.count(ctx, err)

	switch {
	case err == nil:
		return wait, nil
	case b.onLoss == Closed:
		return 0, fault.New(codes.Unavailable, "LIMITS_UNAVAILABLE",
			"how many requests were made can't be known at the moment; try again").After(time.Second)
	default:
		return b.own.take(ctx, key)
	}
}

// sharing is a use of this gateway's Redis, if it has one.
func (s *Service) sharing(use string, onLoss OnLoss) sharing {
	return sharing{redis: s.cfg.Redis, use: use, onLoss: onLoss, metrics: s.metrics}
}

// watchRedis logs when Redis goes, and when it is back.
func (s *Service) watchRedis() {
	if s.cfg.Redis == nil {
		return
	}

	told := func(away error) {
		if away != nil {
			s.log.Warn("redis is away", "address", s.cfg.Redis.Address(), "error", away.Error())
		} else {
			s.log.Info("redis is back", "address", s.cfg.Redis.Address())
		}
	}
	s.cfg.Redis.changed.Store(&told)
}
