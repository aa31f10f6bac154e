package agent

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// lost runs a turn whose only call is claimed by a tool service that is lost then. Whoever is asked says that the call
// took effect. It returns the world and what the model read of the call.
func lost(t *testing.T, change func(*world)) (*world, string) {
	t.Helper()

	w := newWorld(t, calling("Done.", modelCall{"lookup", `{}`}))
	w.tools.lose["lookup"] = true
	change(w)
	w.start(with(spec("billing"), "lookup"))
	w.begin("billing", "Look")

	if turn := w.drive(); turn.GetStatus() != contextv1.TurnStatus_TURN_STATUS_COMPLETED {
		t.Fatalf("turn %v\n%v", turn, w.log())
	}

	w.verify()

	if asked := slices.Contains(w.log(), "input_requested"); !asked {
		t.Errorf("nobody was asked: %v", w.log())
	}

	return w, w.model.asked()[1].last()
}

// TestNoConnectionIsNoAnswer has the ambassador be away twice: nothing was sent, so the model is asked once it is there.
func TestNoConnectionIsNoAnswer(t *testing.T) {
	w := newWorld(t, says("Yes."))
	tries := 0

	w.start(spec("billing"), func(config *Config) {
		config.LLM.HTTPClient = &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if tries++; tries < 3 {
					return nil, errors.New("no handshake")
				}

				return new(net.Dialer).DialContext(ctx, network, address)
			},
		}}
	})
	w.begin("billing", "Is it paid?")

	if turn := w.drive(); turn.GetStatus() != contextv1.TurnStatus_TURN_STATUS_COMPLETED || tries != 3 {
		t.Errorf("after %d tries: %v\n%v", tries, turn, w.log())
	}

	w.verify()
}

func TestOutcomeUnknown(t *testing.T) {
	if _, read := lost(t, func(*world) {}); read != textConfirmed {
		t.Errorf("the model read %q", read)
	}
}

// TestAnAnswerWaitsForTheClaim: somebody answers at once, while the lost process may still tell.
func TestAnAnswerWaitsForTheClaim(t *testing.T) {
	began := time.Now()
	claim := 300 * time.Millisecond

	if _, read := lost(t, func(w *world) { w.store.claimFor = claim }); read != textConfirmed {
		t.Errorf("the model read %q", read)
	}

	if took := time.Since(began); took < claim {
		t.Errorf("the claim did not end before %s, the turn took %s", claim, took)
	}
}

// TestALateResultIsTaken: the process was only slow, and told what came of the call before an answer was written.
func TestALateResultIsTaken(t *testing.T) {
	_, read := lost(t, func(w *world) {
		w.store.late = &eventv1.ToolResult{Tool: "lookup", Outcome: eventv1.ToolResult_OUTCOME_OK, Output: "found late"}
	})
	if read != "found late" {
		t.Errorf("the model read %q", read)
	}
}

// TestALostCallOfAForgottenTool: the next process does not know the tool, so it can't say what came of the call.
func TestALostCallOfAForgottenTool(t *testing.T) {
	w, read := lost(t, func(w *world) { w.tools.forget = true })
	if read != textConfirmed {
		t.Errorf("the model read %q", read)
	}

	if len(w.tools.effects) != 1 {
		t.Errorf("effects %v", w.tools.effects)
	}
}
