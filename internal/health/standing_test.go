package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serinhq/serin/internal/health"
)

// dependency is up or down.
type dependency struct{ down atomic.Bool }

func (d *dependency) check(context.Context) error {
	if d.down.Load() {
		return errors.New("connection refused")
	}

	return nil
}

// watched probes readiness ten times a second for a while, and returns the changes that it saw, by when.
func watched(t *testing.T, checker *health.Checker, forTime time.Duration) (changes []time.Duration) {
	t.Helper()

	began := time.Now()

	for before := checker.Ready(t.Context()) == nil; time.Since(began) < forTime; time.Sleep(100 * time.Millisecond) {
		if now := checker.Ready(t.Context()) == nil; now != before {
			before = now
			changes = append(changes, time.Since(began))
		}
	}

	return changes
}

func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store dependency

		checker := health.New(health.Check{Name: "store", TTL: time.Millisecond, Grace: 4 * time.Second, Func: store.check})
		checker.MarkStarted()

		// The first good result counts at once.
		expect(t, checker, "/health/ready", 200, "ok store=ok:")

		// What is down for less than the grace, again and again, is told and changes nothing.
		for range 5 {
			store.down.Store(true)
			time.Sleep(10 * time.Millisecond)
			expect(t, checker, "/health/ready", 200, "degraded store=failed:connection refused")

			if changes := watched(t, checker, 3*time.Second); len(changes) > 0 {
				t.Fatalf("it was down for 3 s, and readiness changed after %v", changes)
			}

			store.down.Store(false)

			if changes := watched(t, checker, time.Second); len(changes) > 0 {
				t.Fatalf("it was up again, and readiness changed after %v", changes)
			}
		}

		store.down.Store(true)

		if changes := watched(t, checker, 10*time.Second); len(changes) != 1 || changes[0] < 4*time.Second || changes[0] > 6200*time.Millisecond {
			t.Fatalf("down for good: readiness changed after %v, want once after 4 to 6 s", changes)
		}

		expect(t, checker, "/health/ready", 503, "unavailable store=failed:connection refused")

		store.down.Store(false)

		if changes := watched(t, checker, 10*time.Second); len(changes) != 1 || changes[0] < 4*time.Second {
			t.Fatalf("up for good: readiness changed after %v, want once after 4 s or more", changes)
		}
	})
}

func TestNeverGoodIsNeverReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := dependency{}
		store.down.Store(true)

		checker := health.New(health.Check{Name: "store", TTL: time.Millisecond, Grace: time.Hour, Func: store.check})
		checker.MarkStarted()

		if changes := watched(t, checker, 10*time.Second); len(changes) > 0 || checker.Ready(t.Context()) == nil {
			t.Errorf("it was never good, and readiness changed after %v", changes)
		}

		store.down.Store(false)
		time.Sleep(time.Second)
		expect(t, checker, "/health/ready", 200, "ok store=ok:")
	})
}

// Replicas that lose the same dependency do not all leave at once, and do not all come back at once.
func TestReplicasDoNotLeaveTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const replicas = 20

		var store dependency

		checkers := make([]*health.Checker, replicas)
		for i := range checkers {
			checkers[i] = health.New(health.Check{Name: "store", TTL: time.Millisecond, Grace: 10 * time.Second, Func: store.check})
			checkers[i].MarkStarted()
			expect(t, checkers[i], "/health/ready", 200, "ok store=ok:")
		}

		for _, down := range []bool{true, false} {
			store.down.Store(down)

			ready := []int{}

			for range 160 {
				time.Sleep(100 * time.Millisecond)

				count := 0

				for _, checker := range checkers {
					if checker.Ready(t.Context()) == nil {
						count++
					}
				}

				ready = append(ready, count)
			}

			if steps := len(slices.Compact(slices.Clone(ready))); steps < 4 || ready[0] == ready[len(ready)-1] {
				t.Errorf("down is %t: the ready ones were %v", down, ready)
			}
		}
	})
}

// A result that is kept for long does not make the way back longer than the grace.
func TestTheWayBackIsNotLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var provider dependency

		checker := health.New(health.Check{Name: "llm", TTL: 10 * time.Second, Grace: 4 * time.Second, Func: provider.check})
		checker.MarkStarted()
		expect(t, checker, "/health/ready", 200, "ok llm=ok:")

		provider.down.Store(true)

		if changes := watched(t, checker, 20*time.Second); len(changes) != 1 {
			t.Fatalf("down for good: readiness changed after %v", changes)
		}

		provider.down.Store(false)

		if changes := watched(t, checker, 20*time.Second); len(changes) != 1 || changes[0] > 7200*time.Millisecond {
			t.Fatalf("up for good: readiness changed after %v, want once after 4 to 7 s", changes)
		}
	})
}

func TestReportsSayWhenAndHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store dependency

		checker := health.New(health.Check{Name: "store", TTL: time.Millisecond, Func: func(ctx context.Context) error {
			time.Sleep(30 * time.Millisecond)

			return store.check(ctx)
		}})
		checker.MarkStarted()

		look := func() health.Result {
			recorder := httptest.NewRecorder()
			checker.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/health/ready", nil))

			var body struct {
				Checks []health.Result `json:"checks"`
			}
			if err := json.Unmarshal(recorder.Body.Bytes(), &body); err != nil || len(body.Checks) != 1 {
				t.Fatalf("%v in %s", err, recorder.Body)
			}

			return body.Checks[0]
		}

		store.down.Store(true)

		failed := look()
		if failed.DurationMS != 30 || !failed.CheckedAt.Equal(time.Now()) || failed.LastError != "connection refused" {
			t.Errorf("got %+v", failed)
		}

		store.down.Store(false)
		time.Sleep(time.Minute)

		good := look()
		if good.Error != "" || good.LastError != "connection refused" || !good.LastErrorAt.Equal(failed.CheckedAt) || !good.Since.Equal(time.Now()) {
			t.Errorf("got %+v", good)
		}
	})
}
