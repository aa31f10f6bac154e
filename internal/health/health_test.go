package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/serinhq/serin/internal/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// probe returns status code, status, reason, and the checks as name=status:error.
func probe(t *testing.T, checker *health.Checker, path string) (int, string) {
	t.Helper()

	recorder := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	checker.Handler().ServeHTTP(recorder, request)

	var body struct {
		Status string          `json:"status"`
		Reason string          `json:"reason"`
		Checks []health.Result `json:"checks"`
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), &body); err != nil {
		t.Fatalf("%s: %v in %s", path, err, recorder.Body)
	}

	if body.Checks == nil {
		t.Errorf("%s: checks is not an array in %s", path, recorder.Body)
	}

	words := []string{body.Status}
	if body.Reason != "" {
		words = append(words, body.Reason)
	}

	for _, check := range body.Checks {
		words = append(words, check.Name+"="+check.Status+":"+check.Error)
	}

	return recorder.Code, strings.Join(words, " ")
}

func expect(t *testing.T, checker *health.Checker, path string, code int, text string) {
	t.Helper()

	if gotCode, gotText := probe(t, checker, path); gotCode != code || gotText != text {
		t.Errorf("%s = %d %q, want %d %q", path, gotCode, gotText, code, text)
	}
}

func TestPhases(t *testing.T) {
	checker := health.New()

	expect(t, checker, "/health/live", 200, "ok")
	expect(t, checker, "/health/startup", 503, "unavailable starting")
	expect(t, checker, "/health/ready", 503, "unavailable starting")

	checker.MarkStarted()
	expect(t, checker, "/health/startup", 200, "ok")
	expect(t, checker, "/health/ready", 200, "ok")

	if err := checker.Ready(t.Context()); err != nil {
		t.Errorf("Ready() = %v", err)
	}

	checker.MarkDraining()
	expect(t, checker, "/health/live", 200, "ok")
	expect(t, checker, "/health/startup", 200, "ok")
	expect(t, checker, "/health/ready", 503, "unavailable draining")

	if err := checker.Ready(t.Context()); err == nil || err.Error() != "draining" {
		t.Errorf("Ready() = %v, want draining", err)
	}
}

func TestReadyNamesWhatFails(t *testing.T) {
	checker := health.New(
		health.Check{Name: "store", Func: func(context.Context) error { return nil }},
		health.Check{Name: "provider", Func: func(context.Context) error { return errors.New("no route to host") }},
		health.Check{Name: "bug", Func: func(context.Context) error { panic("oops") }},
	)
	checker.MarkStarted()

	expect(t, checker, "/health/ready", 503,
		"unavailable store=ok: provider=failed:no route to host bug=failed:the check panicked: oops")

	if err := checker.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "provider: no route to host") {
		t.Errorf("Ready() = %v, want the provider named", err)
	}
}

func TestInformativeChecksAreOnlyShown(t *testing.T) {
	checker := health.New(health.Check{
		Name: "extra", Informative: true, Func: func(context.Context) error { return errors.New("gone") },
	})
	checker.MarkStarted()

	expect(t, checker, "/health/ready", 200, "degraded extra=failed:gone")

	if err := checker.Ready(t.Context()); err != nil {
		t.Errorf("Ready() = %v", err)
	}
}

func TestResultsAreCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32

		checker := health.New(health.Check{Name: "provider", TTL: 10 * time.Second, Func: func(context.Context) error {
			if calls.Add(1) == 1 {
				return errors.New("not yet")
			}

			return nil
		}})
		checker.MarkStarted()

		for range 3 {
			expect(t, checker, "/health/ready", 503, "unavailable provider=failed:not yet")
		}

		time.Sleep(11 * time.Second)
		expect(t, checker, "/health/ready", 200, "ok provider=ok:")

		if got := calls.Load(); got != 2 {
			t.Errorf("the check ran %d times, want 2", got)
		}
	})
}

func TestProbesShareOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32

		checker := health.New(health.Check{Name: "slow", Func: func(context.Context) error {
			calls.Add(1)
			time.Sleep(100 * time.Millisecond)

			return nil
		}})
		checker.MarkStarted()

		var probes sync.WaitGroup
		for range 20 {
			probes.Go(func() {
				if err := checker.Ready(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}

		probes.Wait()

		if got := calls.Load(); got != 1 {
			t.Errorf("the check ran %d times for simultaneous probes, want 1", got)
		}
	})
}

func TestSlowChecksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checker := health.New(
			health.Check{Name: "obeys", Func: func(ctx context.Context) error {
				<-ctx.Done()

				return ctx.Err()
			}},
			health.Check{Name: "ignores", Func: func(context.Context) error {
				time.Sleep(time.Hour)

				return nil
			}},
		)
		checker.MarkStarted()

		started := time.Now()

		expect(t, checker, "/health/ready", 503,
			"unavailable obeys=failed:no answer within 1s ignores=failed:no answer within 1s")

		if took := time.Since(started); took != health.Timeout {
			t.Errorf("took %s, want %s", took, health.Timeout)
		}

		time.Sleep(2 * time.Hour) // let the second check end
	})
}

func TestGivenUpProbeDoesNotSpoilTheCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checker := health.New(health.Check{Name: "store", Func: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(500 * time.Millisecond):
				return nil
			}
		}})
		checker.MarkStarted()

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()

		if err := checker.Ready(ctx); err == nil {
			t.Error("a probe that was given up was answered")
		}

		time.Sleep(time.Second)
		expect(t, checker, "/health/ready", 200, "ok store=ok:")
	})
}
