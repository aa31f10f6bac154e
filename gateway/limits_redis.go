package gateway

import (
	"context"
	_ "embed"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed limits.lua
var takeSource string

// takeScript is our own because go-redis/redis_rate, which has not been released since 2023, takes whole numbers of requests
// a period alone, and keeps the time at which a bucket will be full: that locks clients out when a limit is made stricter or
// a clock is set back.
var takeScript = redis.NewScript(takeSource)

// takeToken takes a token out of the bucket at a key, and returns 0 or how long until there is one. One step, by the clock
// of Redis: gateways need not agree on the time.
func takeToken(ctx context.Context, client redis.Scripter, key string, limit RateLimit) (time.Duration, error) {
	micros, err := takeScript.Run(ctx, client, []string{key}, limit.PerSecond, limit.Burst).Int64()
	if err != nil {
		return 0, fmt.Errorf("take a token: %w", err)
	}

	return time.Duration(micros) * time.Microsecond, nil
}

// redisBuckets are those of all gateways with the same Redis. A change of the limit takes buckets over as they are.
type redisBuckets struct {
	redis *Redis
	limit RateLimit
	what  string
}

func newRedisBuckets(r *Redis, limit RateLimit, what string) *redisBuckets {
	return &redisBuckets{redis: r, limit: limit, what: what}
}

func (b *redisBuckets) take(ctx context.Context, key bucketKey) (wait time.Duration, err error) {
	name := b.redis.key("limit", b.what, base64.RawURLEncoding.EncodeToString(key[:]))

	err = b.redis.call(ctx, func(ctx context.Context) error {
		wait, err = takeToken(ctx, b.redis.client, name, b.limit)

		return err
	})

	return wait, err
}
