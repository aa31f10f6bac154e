package app

import (
	"context"
	"fmt"
	"time"

	"github.com/serinhq/serin/gateway"
	"github.com/serinhq/serin/internal/health"
)

// redisVariable is the URL of the Redis that gateways share. It may hold a password: no file has it, and no other process.
const redisVariable = "SERIN_REDIS_URL"

// openRedis opens the Redis that the environment names; nil if it names none.
func (w *workload) openRedis() (*gateway.Redis, error) {
	settings, url := w.config.Gateway.Redis, w.env.get(redisVariable)

	switch {
	case url == "" && settings != gateway.Sharing{}:
		return nil, usageErrorf("gateway.redis: is of no use without the environment variable %s", redisVariable)
	case url == "":
		return nil, nil //nolint:nilnil // each gateway counts for itself
	}

	opened, err := gateway.OpenRedis(gateway.RedisConfig{
		URL: url, Prefix: "serin:" + w.config.Namespace, Timeout: time.Duration(settings.Timeout),
	})
	if err != nil {
		return nil, usageErrorf("%s: %w", redisVariable, err)
	}

	return opened, nil
}

// redisCheck is told only, unless requests are refused without Redis.
func (w *workload) redisCheck(redis *gateway.Redis) health.Check {
	return health.Check{
		Name: "redis", TTL: healthTTL, Grace: dependencyGrace, Func: redis.Check,
		Informative: w.config.Gateway.Redis.Limits != gateway.Closed,
	}
}

// checkRedis settles which Redis the gateway is given, if any.
func (p *Platform) checkRedis() error {
	name := "--redis"
	if p.config.Redis == "" {
		name, p.config.Redis = redisVariable, p.env.get(redisVariable)
	}

	if p.config.Redis == "" {
		if p.config.Door.Redis != (gateway.Sharing{}) {
			return usageErrorf("--redis-limits and --redis-keys: are of no use without --redis URL, or %s", redisVariable)
		}

		return nil
	}

	opened, err := gateway.OpenRedis(gateway.RedisConfig{URL: p.config.Redis})
	if err != nil {
		return usageErrorf("%s: %w", name, err)
	}

	return opened.Close()
}

// redisProblem says what is wrong with Redis now. It may be there later, so that this stops nothing.
func (p *Platform) redisProblem(ctx context.Context) error {
	if p.config.Redis == "" {
		return nil
	}

	opened, err := gateway.OpenRedis(gateway.RedisConfig{URL: p.config.Redis})
	if err != nil {
		return err
	}
	defer opened.Close() //nolint:errcheck // it was only asked

	if err := opened.Check(ctx); err != nil {
		return fmt.Errorf("%w; until it works each gateway counts for itself, or refuses what it can't count", err)
	}

	return nil
}
