package controller_test

import (
	"slices"
	"testing"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/agentspec"
)

// TestAdoptedRevisionsTakeTurns in the two hand-written subsets: no two of them are in one, and none changes its own while
// it is stable.
func TestAdoptedRevisionsTakeTurns(t *testing.T) {
	w := newWorld(t)
	adopted := func(prompt string) agentspec.Agent {
		agent := agentOf("billing", prompt)
		agent.Metadata.Annotations = map[string]string{"serin.dev/adopt": "true"}

		return agent
	}

	a := w.write(adopted("v1"))
	w.start()
	w.waitReady()
	w.seated(map[string]string{a: "stable"})

	b := w.write(adopted("v2"))
	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)
	w.seated(map[string]string{a: "stable", b: "canary"})

	w.promote()
	w.seated(map[string]string{a: "stable", b: "canary"})

	// Nothing leads to a any more, so its conversations go on with b.
	w.eventually("the store has withdrawn "+a, func() bool {
		all := w.context.withdrawn("billing")

		return len(all) == 1 && all[0].GetRevision() == a && all[0].GetReplacement() == b
	})

	c := w.write(adopted("v3"))
	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)
	w.seated(map[string]string{a: "", b: "canary", c: "stable"})

	if shown := w.rollout("billing").GetRevisions(); shown[0].GetRevision() != b || shown[0].GetSlot() != "canary" {
		t.Errorf("shown: %v", shown)
	}

	if _, err := w.abort("billing"); err != nil {
		t.Fatal(err)
	}

	w.seated(map[string]string{a: "", b: "canary", c: "stable"})
}

// promote gives the candidate everything.
func (w *world) promote() {
	w.Helper()

	if _, err := w.service.PromoteRollout(w.operator(), &rolloutv1.PromoteRolloutRequest{Agent: "billing", Full: true}); err != nil {
		w.Fatal(err)
	}

	w.waitPhase("billing", rolloutv1.Phase_PHASE_SUCCEEDED)
}

// seated waits until each revision runs in its subset, and no others do.
func (w *world) seated(want map[string]string) {
	w.Helper()

	w.eventually("revisions are in their subsets", func() bool {
		agents := w.machine.request().GetAgents()
		if len(agents) != 1 || len(agents[0].GetRevisions()) != len(want) {
			return false
		}

		return !slices.ContainsFunc(agents[0].GetRevisions(), func(one *workloadv1.Revision) bool {
			slot, known := want[agentspec.Short(one.GetRevision())]

			return !known || slot != one.GetSlot()
		})
	})
}
