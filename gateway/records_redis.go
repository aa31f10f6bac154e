package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

var (
	// claimScript notes ARGV[1] for ARGV[2] ms, unless something is noted: that is the answer. (SET has NX with GET since
	// Redis 7 only.)
	claimScript = redis.NewScript(`
local found = redis.call('GET', KEYS[1])
if not found then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return found`)
	// settleScript puts ARGV[2] in the place of ARGV[1] for ARGV[3] ms, or nothing if it is empty.
	settleScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1`)
)

// redisRecords are those of all gateways with the same Redis. They live as long as its memory does.
type redisRecords struct{ redis *Redis }

func (r *redisRecords) claim(ctx context.Context, key string, begun []byte) (found []byte, err error) {
	err = r.redis.call(ctx, func(ctx context.Context) error {
		text, err := claimScript.Run(ctx, r.redis.client, []string{r.redis.key("key", key)}, begun, recordTTL.Milliseconds()).Text()
		if errors.Is(err, redis.Nil) {
			return nil
		}

		found = []byte(text)

		return wrapped("claim a key", err)
	})

	return found, err
}

func (r *redisRecords) settle(ctx context.Context, key string, begun, outcome []byte) (settled bool, err error) {
	err = r.redis.call(ctx, func(ctx context.Context) error {
		did, err := settleScript.Run(ctx, r.redis.client, []string{r.redis.key("key", key)}, begun, outcome, recordTTL.Milliseconds()).Bool()
		settled = did

		return wrapped("settle a key", err)
	})

	return settled, err
}

func wrapped(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}

	return nil
}

// sharedRecords are those of all gateways, or what happens without them.
type sharedRecords struct {
	sharing

	theirs records
	own    *ownRecords
}

func (r *sharedRecords) claim(ctx context.Context, key string, begun []byte) ([]byte, error) {
	if found := r.own.noted(key); found != nil { // it came while Redis was away
		return found, nil
	}

	found, err := r.theirs.claim(ctx, key, begun)
	r.count(ctx, err)

	if err == nil {
		return found, nil
	}

	if !errors.Is(err, errRedisAway) { // it may have been noted, and nothing will come of it
		_, _ = r.theirs.settle(ctx, key, begun, nil) // if that fails, too, the key stays unsettled
	}

	if r.onLoss == Closed {
		return nil, fault.New(codes.Unavailable, "IDEMPOTENCY_UNAVAILABLE",
			"whether this Idempotency-Key was used can't be known at the moment; try again, or leave it out").After(time.Second)
	}

	return r.own.claim(ctx, key, begun)
}

// settle settles where the claim was made.
func (r *sharedRecords) settle(ctx context.Context, key string, begun, outcome []byte) (bool, error) {
	if settled, err := r.own.settle(ctx, key, begun, outcome); settled || err != nil {
		return settled, err
	}

	settled, err := r.theirs.settle(ctx, key, begun, outcome)
	r.count(ctx, err)

	return settled, err
}
