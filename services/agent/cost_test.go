package agent

import (
	"math"
	"strings"
	"testing"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/agentspec"
)

func frugal(agent agentspec.Agent, dollars string) agentspec.Agent {
	agent.Spec.Budgets.CostUSD = dollars

	return agent
}

// priced makes the model tell a price of 1 and 10 dollars per million tokens, and bill what its script says.
func priced(t *testing.T, prices string, script func(modelAsked) modelReply) *world {
	t.Helper()

	w := newWorld(t, script)
	w.model.prices = prices

	return w
}

const knownPrices = `{"object":"serin.prices","input":1,"output":10,"unknown":[]}`

func TestCostIsBooked(t *testing.T) {
	w := priced(t, knownPrices, func(asked modelAsked) modelReply {
		reply := calling("Found it.", modelCall{"lookup", `{}`})(asked)
		reply.cost = "0.0000601"

		return reply
	})
	w.start(frugal(with(spec("billing"), "lookup"), "0.01"))
	w.begin("billing", "Look")
	w.drive()
	w.verify()

	events, _, _ := w.store.snapshot()
	if started := events[2].GetStepStarted(); started.GetReservedCostMicros() < 1000 {
		t.Errorf("reserved %v", started)
	}

	if usage := lastEvent(t, w).GetTurnCompleted().GetUsage(); usage.GetCostMicros() != 122 { // 60.1 of a millionth, rounded up, twice
		t.Errorf("used %v", usage)
	}
}

func TestCostBudgetEndsATurn(t *testing.T) {
	w := priced(t, knownPrices, func(asked modelAsked) modelReply {
		reply := calling("never", modelCall{"lookup", `{}`})(asked)
		reply.cost = "0.0015"

		return reply
	})
	w.start(frugal(with(spec("billing"), "lookup"), "0.002"))
	w.begin("billing", "Look")
	w.drive()

	if failed := lastEvent(t, w).GetTurnFailed(); failed.GetReason() != reasonBudget || failed.GetUsage().GetCostMicros() != 1500 {
		t.Errorf("failed %v", failed)
	}

	if asked := len(w.model.asked()); asked != 1 {
		t.Errorf("the model was asked %d times", asked)
	}
}

// Without a price a cost budget can't be kept: no model is called.
func TestCostBudgetWithoutPricesFailsClosed(t *testing.T) {
	for name, test := range map[string]struct{ prices, want string }{
		"a model without a price": {
			`{"input":1,"output":1,"unknown":["eu/llama"]}`, "no price is known of eu/llama",
		},
		"an ambassador that knows none": {"", "no price is known of any model (404 Not Found)"},
		"an answer that is none":        {`{"input":1}`, "no price is known of any model (200 OK)"},
	} {
		t.Run(name, func(t *testing.T) {
			w := priced(t, test.prices, says("never"))
			w.start(frugal(spec("billing"), "1"))
			w.begin("billing", "Look")
			w.drive()

			failed := lastEvent(t, w).GetTurnFailed()
			if failed.GetReason() != reasonBudget || !strings.Contains(failed.GetMessage(), test.want) || len(w.model.asked()) != 0 {
				t.Errorf("failed %v", failed)
			}
		})
	}
}

func TestCostBudgetSurvivesHandoffs(t *testing.T) {
	w := priced(t, knownPrices, func(asked modelAsked) modelReply {
		if asked.Agent == "billing" {
			return modelReply{text: []string{"Paid back."}, cost: "0.0001"}
		}

		return modelReply{calls: []modelCall{{"handoff_to_billing", `{"reason":"an invoice"}`}}, cost: "0.0004"}
	})
	w.start(frugal(to(spec("triage"), "billing"), "0.003"))
	w.start(spec("billing"))
	w.begin("triage", "Charged twice")
	w.drive()

	events, _, _ := w.store.snapshot()

	var handoff *eventv1.Handoff
	for _, event := range events {
		if event.GetHandoff() != nil {
			handoff = event.GetHandoff()
		}
	}

	if handoff.GetRemaining().GetCostMicros() != 2600 {
		t.Errorf("handoff %v", handoff)
	}

	if usage := lastEvent(t, w).GetTurnCompleted().GetUsage(); usage.GetCostMicros() != 500 {
		t.Errorf("used %v", usage)
	}
}

func TestMicros(t *testing.T) {
	for dollars, want := range map[float64]int64{
		0: 0, 0.002124: 2124, 0.0000001: 1, 0.3: 300_000, -1: 0, 1e300: 1<<61 - 1, math.NaN(): 0,
	} {
		if got := micros(dollars); got != want && (want != 1<<61-1 || got < 1<<60) {
			t.Errorf("%v: got %d", dollars, got)
		}
	}

	for micros, want := range map[int64]string{0: "$0.00", 1: "$0.000001", 250_000: "$0.25", 1_500_000: "$1.50", 12_000_000: "$12.00"} {
		if got := dollars(micros); got != want {
			t.Errorf("%d: got %s, want %s", micros, got, want)
		}
	}
}
