package agent

import (
	"slices"
	"testing"

	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
)

// TestAHandoffWaitsForABusyAgent: while the next agent has no room, whoever passes a turn on asks again, well before a
// dispatcher would.
func TestAHandoffWaitsForABusyAgent(t *testing.T) {
	w := newWorld(t, passes)
	full := spec("billing")
	full.Spec.Scaling.MaxConcurrentSegments = 1
	billing := w.start(full)
	w.start(to(spec("triage"), "billing"))

	other, _, err := billing.service.reserve(&handoffv1.HandoffRequest{TurnId: "another"})
	if err != nil {
		t.Fatal(err)
	}

	w.begin("triage", "Hello")

	if finished, err := w.handoff("triage"); err != nil || finished.GetNextAgent() != "billing" {
		t.Fatal(finished, err)
	}

	w.eventually("billing was asked again and again", func() bool { return len(billing.wire.calls()) > 3 })
	billing.service.forget(other)
	other.leave()
	billing.service.background.Done()
	w.eventually("the turn has ended", func() bool { return lastEvent(t, w).GetTurnCompleted() != nil })
	w.verify()

	calls := billing.wire.calls()
	if calls[0] != "[acme] []" || slices.ContainsFunc(calls[1:], func(call string) bool { return call != "[acme] ["+billing.service.revision+"]" }) {
		t.Errorf("the revision that the first call met must be asked again, and no other: %v", calls)
	}
}
