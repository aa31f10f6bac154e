package gateway

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/serinhq/serin/internal/testenv"
)

func newTestRecords(tb testing.TB) *ownRecords {
	tb.Helper()

	made, err := newOwnRecords()
	if err != nil {
		tb.Fatal(err)
	}

	return made
}

// TestRecords is the one suite that all records pass.
func TestRecords(t *testing.T) {
	t.Run("own", func(t *testing.T) { testRecords(t, newTestRecords(t)) })

	t.Run("redis", func(t *testing.T) {
		testRecords(t, &redisRecords{openTestRedis(t, RedisConfig{URL: testenv.StartRedis(t).URL(), Timeout: unhurried})})
	})

	t.Run("redis, or own", func(t *testing.T) {
		shared := openTestRedis(t, RedisConfig{URL: testenv.StartRedis(t).URL(), Timeout: unhurried})
		testRecords(t, &sharedRecords{sharing: testSharing(t, shared, Closed), theirs: &redisRecords{shared}, own: newTestRecords(t)})
	})

	t.Run("own, without redis", func(t *testing.T) {
		absent := openTestRedis(t, RedisConfig{URL: "redis://" + testenv.FreePort(t), Timeout: unhurried})
		testRecords(t, &sharedRecords{sharing: testSharing(t, absent, Open), theirs: &redisRecords{absent}, own: newTestRecords(t)})
	})
}

func testRecords(t *testing.T, r records) {
	t.Helper()

	claim := func(key, begun, want string) {
		t.Helper()

		if found, err := r.claim(t.Context(), key, []byte(begun)); err != nil || string(found) != want {
			t.Errorf("claim %s for %s: %q, %v, want %q", key, begun, found, err, want)
		}
	}
	settle := func(key, begun, outcome string, want bool) {
		t.Helper()

		var content []byte
		if outcome != "" {
			content = []byte(outcome)
		}

		if settled, _ := r.settle(t.Context(), key, []byte(begun), content); settled != want {
			t.Errorf("settle %s of %s: %t, want %t", key, begun, settled, want)
		}
	}

	claim("a", "first", "")
	claim("a", "second", "first")
	claim("b", "second", "")
	settle("a", "second", "done", false)
	claim("a", "second", "first")
	settle("a", "first", "done\x00\xff", true)
	claim("a", "second", "done\x00\xff")
	settle("a", "first", "", false)
	settle("b", "second", "", true)
	claim("b", "third", "")
	settle("c", "first", "done", false)
	claim("c", "first", "")

	var (
		claimed atomic.Int32
		callers sync.WaitGroup
	)

	for i := range 20 {
		callers.Go(func() {
			if found, err := r.claim(context.Background(), "d", fmt.Append(nil, i)); err != nil {
				t.Error(err)
			} else if found == nil {
				claimed.Add(1)
			}
		})
	}

	if callers.Wait(); claimed.Load() != 1 {
		t.Errorf("%d of 20 claimed one key", claimed.Load())
	}
}

func TestRecordsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestRecords(t)

		for range 2 {
			if found, err := r.claim(t.Context(), "a", []byte("x")); err != nil || found != nil {
				t.Error(found, err)
			}

			time.Sleep(recordTTL)
		}

		for i := range 2 * maxRecords {
			_, _ = r.claim(t.Context(), fmt.Sprint(i), []byte("x"))
		}

		if got := r.known.Len(); got != maxRecords {
			t.Errorf("%d are known, want %d", got, maxRecords)
		}
	})
}

func TestRedisForgetsRecords(t *testing.T) {
	server := testenv.StartRedis(t)
	shared := openTestRedis(t, RedisConfig{URL: server.URL(), Timeout: unhurried})
	r := &redisRecords{shared}

	client := redis.NewClient(&redis.Options{Addr: server.Address})
	defer client.Close()

	begun := []byte("x")
	for _, step := range []func() error{
		func() error { _, err := r.claim(t.Context(), "a", begun); return err },
		func() error { _, err := r.settle(t.Context(), "a", begun, []byte("y")); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}

		if left, err := client.TTL(t.Context(), shared.key("key", "a")).Result(); err != nil || left <= recordTTL-time.Minute || left > recordTTL {
			t.Errorf("it is kept for %s, %v", left, err)
		}
	}
}
