package ambassador_test

import (
	"net/http"
	"sync/atomic"
	"testing"
)

// A provider that keeps failing is left alone; who asks learns so at once, and when it is back everyone is served again.
func TestCircuitBreakerOpensAndCloses(t *testing.T) {
	var well atomic.Bool

	upstream := provider(t, func(number int, writer http.ResponseWriter, request *http.Request) {
		if well.Load() {
			serves(number, writer, request)

			return
		}

		fails(writer, 500, "server_error", "oops")
	})
	cfg := only(upstream.config("one"))
	cfg.Retry.Max, cfg.BreakAfter = -1, 3
	rig := start(t, cfg)

	for range 5 {
		rig.raw(notStreamed)
	}

	response, _, _ := rig.raw(streamed)
	if upstream.count() != 3 || response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("asked %d times, then got %s", upstream.count(), response.Status)
	}

	well.Store(true)

	eventually(t, func() bool {
		response, _, _ := rig.raw(notStreamed)

		return response.StatusCode == http.StatusOK
	}, func() string { return "the circuit stays open" })

	if upstream.count() != 4 {
		t.Errorf("asked %d times", upstream.count())
	}
}

func TestCircuitBreakerFallsBackWithoutAsking(t *testing.T) {
	down := provider(t, failing(503, "", "down"))
	cfg := with(down, provider(t, serves))
	cfg.Retry.Max, cfg.BreakAfter = -1, 2
	rig := start(t, cfg)

	for range 6 {
		if response, _, _ := rig.raw(notStreamed); response.Header.Get("serin-provider") != "two" {
			t.Errorf("got %s", response.Status)
		}
	}

	if down.count() != 2 {
		t.Errorf("asked %d times", down.count())
	}
}

// What a client did wrong, and what has a rest of its own, opens nothing.
func TestCircuitBreakerIgnoresTheClientsMistakes(t *testing.T) {
	wrong := provider(t, failing(400, "invalid_request_error", "no"))
	cfg := only(wrong.config("one"))
	cfg.BreakAfter = 2
	rig := start(t, cfg)

	for range 5 {
		rig.raw(notStreamed)
	}

	if wrong.count() != 5 {
		t.Errorf("asked %d times", wrong.count())
	}
}

// Failures count in a row: an answer in between starts anew.
func TestCircuitBreakerCountsInARow(t *testing.T) {
	flaky := provider(t, func(number int, writer http.ResponseWriter, request *http.Request) {
		if number%2 == 0 {
			serves(number, writer, request)

			return
		}

		fails(writer, 500, "server_error", "oops")
	})
	cfg := only(flaky.config("one"))
	cfg.Retry.Max, cfg.BreakAfter = -1, 2
	rig := start(t, cfg)

	for range 8 {
		rig.raw(notStreamed)
	}

	if flaky.count() != 8 {
		t.Errorf("asked %d times", flaky.count())
	}
}
