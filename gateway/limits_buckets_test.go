package gateway

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serinhq/serin/internal/telemetry"
	"github.com/serinhq/serin/internal/testenv"
)

// unhurried is a timeout for tests in which Redis is well, and the machine may be slow.
const unhurried = mostRedisTimeout

func openTestRedis(tb testing.TB, cfg RedisConfig) *Redis {
	tb.Helper()

	opened, err := OpenRedis(cfg)
	if err != nil {
		tb.Fatal(err)
	}

	tb.Cleanup(func() {
		if err := opened.Close(); err != nil {
			tb.Error(err)
		}
	})

	return opened
}

func testSharing(tb testing.TB, r *Redis, onLoss OnLoss) sharing {
	tb.Helper()

	instruments, err := newMetrics(telemetry.Discard().Meter)
	if err != nil {
		tb.Fatal(err)
	}

	return sharing{redis: r, use: "limits", onLoss: onLoss, metrics: instruments}
}

func own(tb testing.TB, limit RateLimit) *ownBuckets {
	tb.Helper()

	made, err := newOwnBuckets(limit)
	if err != nil {
		tb.Fatal(err)
	}

	return made
}

// TestBuckets is the one suite that all buckets pass.
func TestBuckets(t *testing.T) {
	t.Run("own", func(t *testing.T) {
		testBuckets(t, func(tb testing.TB, limit RateLimit) buckets {
			tb.Helper()

			return own(tb, limit)
		})
	})

	t.Run("redis", func(t *testing.T) {
		shared := openTestRedis(t, RedisConfig{URL: testenv.StartRedis(t).URL(), Timeout: unhurried})
		testBuckets(t, func(tb testing.TB, limit RateLimit) buckets {
			tb.Helper()

			return newRedisBuckets(shared, limit, tb.Name())
		})
	})

	t.Run("redis, or own", func(t *testing.T) {
		shared := openTestRedis(t, RedisConfig{URL: testenv.StartRedis(t).URL(), Timeout: unhurried})
		testBuckets(t, func(tb testing.TB, limit RateLimit) buckets {
			tb.Helper()

			return &sharedBuckets{
				sharing: testSharing(tb, shared, Open), theirs: newRedisBuckets(shared, limit, tb.Name()), own: own(tb, limit),
			}
		})
	})

	t.Run("own, without redis", func(t *testing.T) {
		absent := openTestRedis(t, RedisConfig{URL: "redis://" + testenv.FreePort(t), Timeout: unhurried})
		testBuckets(t, func(tb testing.TB, limit RateLimit) buckets {
			tb.Helper()

			return &sharedBuckets{
				sharing: testSharing(tb, absent, Open), theirs: newRedisBuckets(absent, limit, tb.Name()), own: own(tb, limit),
			}
		})
	})
}

func keyOf(text string) bucketKey { return sha256.Sum256([]byte(text)) }

// takenOf takes as many tokens as it can, and returns how many that were.
func takenOf(t *testing.T, b buckets, key string, tries int) (passed int) {
	t.Helper()

	for range tries {
		wait, err := b.take(t.Context(), keyOf(key))
		if err != nil {
			t.Fatal(err)
		}

		if wait == 0 {
			passed++
		}
	}

	return passed
}

func testBuckets(t *testing.T, newBuckets func(testing.TB, RateLimit) buckets) {
	t.Helper()

	const slow = 0.001 // a second: nothing that a test lives to see

	t.Run("as many at once as the burst", func(t *testing.T) {
		b := newBuckets(t, RateLimit{PerSecond: slow, Burst: 3})

		if got := takenOf(t, b, "a", 10); got != 3 {
			t.Errorf("%d passed, want 3", got)
		}

		if wait, err := b.take(t.Context(), keyOf("a")); err != nil || wait <= 900*time.Second || wait > 1000*time.Second {
			t.Errorf("wait %s, %v: want nearly 1000 s, however many were refused", wait, err)
		}

		if got := takenOf(t, b, "b", 10); got != 3 {
			t.Errorf("another key: %d passed, want 3", got)
		}
	})

	t.Run("as many at once, whoever comes first", func(t *testing.T) {
		b := newBuckets(t, RateLimit{PerSecond: slow, Burst: 25})

		var (
			passed  atomic.Int32
			callers sync.WaitGroup
		)

		for range 10 {
			callers.Go(func() {
				for range 10 {
					if wait, err := b.take(context.Background(), keyOf("a")); err != nil {
						t.Error(err)
					} else if wait == 0 {
						passed.Add(1)
					}
				}
			})
		}

		if callers.Wait(); passed.Load() != 25 {
			t.Errorf("%d of 100 passed, want 25", passed.Load())
		}
	})

	t.Run("again once it is said", func(t *testing.T) {
		b := newBuckets(t, RateLimit{PerSecond: 20, Burst: 1})

		for began, passed := time.Now(), 0; passed < 4; {
			wait, err := b.take(t.Context(), keyOf("a"))

			switch elapsed := time.Since(began); {
			case err != nil:
				t.Fatal(err)
			case wait == 0:
				if passed++; float64(passed) > 1+elapsed.Seconds()*20+0.01 {
					t.Fatalf("%d passed within %s", passed, elapsed)
				}
			case wait > 50*time.Millisecond:
				t.Fatalf("wait %s", wait)
			default:
				time.Sleep(wait)

				if again, err := b.take(t.Context(), keyOf("a")); err != nil || again != 0 {
					t.Fatalf("after %s: another %s, %v", wait, again, err)
				}

				passed++
			}
		}
	})

	t.Run("never more than the burst", func(t *testing.T) {
		b := newBuckets(t, RateLimit{PerSecond: 100, Burst: 2})
		takenOf(t, b, "a", 1)
		time.Sleep(200 * time.Millisecond) // ten times what fills it

		began := time.Now()
		got := takenOf(t, b, "a", 5)

		if most := 2 + int(time.Since(began).Seconds()*100) + 1; got < 2 || got > most {
			t.Errorf("%d passed, want 2 to %d", got, most)
		}
	})

	t.Run("the fastest", func(t *testing.T) {
		b := newBuckets(t, RateLimit{PerSecond: mostRate, Burst: mostRate})

		if got := takenOf(t, b, "a", 20); got != 20 {
			t.Errorf("%d of 20 passed", got)
		}
	})
}

// TestLimitChanges: buckets are kept over a restart of the gateway, with another limit.
func TestLimitChanges(t *testing.T) {
	shared := openTestRedis(t, RedisConfig{URL: testenv.StartRedis(t).URL(), Timeout: unhurried})

	if got := takenOf(t, newRedisBuckets(shared, RateLimit{PerSecond: 0.001, Burst: 100}, "client"), "a", 50); got != 50 {
		t.Fatalf("%d passed", got)
	}

	if got := takenOf(t, newRedisBuckets(shared, RateLimit{PerSecond: 0.002, Burst: 3}, "client"), "a", 10); got != 3 {
		t.Errorf("%d passed a stricter limit, want its burst: 3", got)
	}

	if got := takenOf(t, newRedisBuckets(shared, RateLimit{PerSecond: 0.001, Burst: 100}, "token"), "a", 200); got != 100 {
		t.Errorf("%d passed another limit with the same key, want 100", got)
	}
}

// BenchmarkBuckets compares what one request costs with buckets of the process and with those in Redis.
func BenchmarkBuckets(b *testing.B) {
	limit := RateLimit{PerSecond: mostRate, Burst: mostRate}
	run := func(taken buckets) func(*testing.B) {
		return func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if _, err := taken.take(b.Context(), keyOf(fmt.Sprint(i%100))); err != nil {
					b.Fatal(err)
				}
			}
		}
	}

	b.Run("own", run(own(b, limit)))
	b.Run("redis", run(newRedisBuckets(openTestRedis(b, RedisConfig{URL: testenv.StartRedis(b).URL(), Timeout: unhurried}), limit, "client")))
}
