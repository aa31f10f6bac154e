package controller_test

import (
	"context"
	"slices"
	"testing"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/controller"
	"github.com/serinhq/serin/mesh/controller/sqlite"
	"github.com/serinhq/serin/mesh/istio"
)

func TestNumbersSurvive(t *testing.T) {
	w := newWorld(t)
	a, b := w.rollOut()

	turns := func(n int64) func() bool {
		return func() bool {
			revisions := w.rollout("billing").GetRevisions()

			return len(revisions) == 2 && revisions[0].GetNumbers().GetTurns() == n && revisions[1].GetNumbers().GetTurns() == n
		}
	}

	happen := func() {
		for _, revision := range []string{a, b} {
			w.context.happen(w.now(), "billing", revision, contextv1.Outcome_KIND_COMPLETED, 10, time.Millisecond)
		}
	}

	happen()
	w.eventually("10 turns are counted", turns(10))
	w.stop()
	happen() // while the controller is away
	w.start()
	w.eventually("20 turns are counted", turns(20))
	happen()
	w.eventually("30 turns are counted", turns(30))
	w.stop()

	// Without the numbers, all outcomes since the attempt began are read again.
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: w.path})
	if err != nil {
		t.Fatal(err)
	}

	if err := store.SaveNumbers(t.Context(), 0, map[string][]byte{"billing": []byte("{}")}); err != nil {
		t.Fatal(err)
	}

	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	w.start()
	w.eventually("30 turns are counted again", turns(30))
}

func TestWithdrawalsOfADeadControllerAreAdopted(t *testing.T) {
	for name, promoted := range map[string]bool{"abort": false, "undo": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.rollOut()

			if promoted {
				if _, err := w.service.PromoteRollout(w.operator(), &rolloutv1.PromoteRolloutRequest{Agent: "billing", Full: true}); err != nil {
					t.Fatal(err)
				}

				w.waitPhase("billing", rolloutv1.Phase_PHASE_SUCCEEDED)
			}

			w.stop()
			w.context.use("billing", &contextv1.RevisionUse{Revision: b})

			if _, err := w.context.Withdraw(t.Context(), &contextv1.WithdrawRequest{
				Agent: "billing", Revision: b, Replacement: a, Attempt: 1, Cause: "aborted",
			}); err != nil {
				t.Fatal(err)
			}

			w.start()

			found := w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)
			if found.GetStable() != a || !slices.Equal(found.GetRejected(), []string{b}) || w.mesh.routing("billing").Redirects[b] != a {
				t.Errorf("got %v", found)
			}
		})
	}
}

func TestDecisionsOfADeadControllerAreAdopted(t *testing.T) {
	w := newWorld(t)
	a, b := w.rollOut()
	w.eventually("the mesh carries it", func() bool { return w.mesh.routing("billing").Intent.Weight == 5 })
	w.stop()

	routing := w.mesh.routing("billing")
	routing.Intent.Seq, routing.Intent.Phase, routing.Intent.Weight, routing.Intent.Candidate = routing.Intent.Seq+1, "Aborting", 0, ""
	routing.Redirects = map[string]string{b: a}

	if _, err := w.mesh.Apply(t.Context(), istio.Agent{Name: "billing"}, routing); err != nil {
		t.Fatal(err)
	}

	w.start()

	found := w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)
	if found.GetStable() != a || !slices.Equal(found.GetRejected(), []string{b}) {
		t.Errorf("got %v", found)
	}

	w.eventually("the store knows", func() bool { return len(w.context.withdrawn("billing")) == 1 })
	w.neverUndone()
}

// TestAbortOfAnotherIsAdopted: another one aborts under the number under which this one sets a weight.
func TestAbortOfAnotherIsAdopted(t *testing.T) {
	w := newWorld(t)
	a := w.write(agentOf("billing", "v1"))
	w.configure = func(config *controller.Config) { config.CarriedOut = 10 * time.Millisecond }
	w.start()
	w.waitReady()
	b := w.write(agentOf("billing", "v2"))
	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)
	w.eventually("the mesh carries it", func() bool { return w.mesh.routing("billing").Intent.Weight == 5 })
	w.mesh.setRefuse(func(call, _ string) error {
		if call == "apply" {
			return fault.New(14, "DOWN", "it is down")
		}

		return nil
	})

	answer, err := w.service.SetWeight(w.operator(), &rolloutv1.SetWeightRequest{Agent: "billing", Weight: 50})
	if err != nil {
		t.Fatal(err)
	}

	w.mesh.setRefuse(func(string, string) error { return nil })

	routing := w.mesh.routing("billing")
	routing.Intent.Phase, routing.Intent.Weight, routing.Intent.Candidate = "Aborting", 0, ""
	routing.Intent.Seq = answer.GetRollout().GetSequence()
	routing.Redirects = map[string]string{b: a}

	if _, err := w.mesh.Apply(t.Context(), istio.Agent{Name: "billing"}, routing); err != nil {
		t.Fatal(err)
	}

	found := w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)
	if found.GetStable() != a || !slices.Equal(found.GetRejected(), []string{b}) {
		t.Errorf("got %v", found)
	}

	w.neverUndone()
}

func TestRunFailsIfWhatWasKeptCantBeRead(t *testing.T) {
	w := newWorld(t)

	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: w.path})
	if err != nil {
		t.Fatal(err)
	}

	service, err := controller.New(controller.Config{Router: w.mesh, Workloads: w.machine, Context: w.context, Store: store})
	if err != nil {
		t.Fatal(err)
	}

	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	if err := service.Run(t.Context()); !fault.Is(err, "STORE_FAILED") {
		t.Errorf("got %v", err)
	}
}

// A controller that is told to end while it reads what was kept decides for nobody.
func TestRunThatEndsBeforeItBegan(t *testing.T) {
	w := newWorld(t)
	w.write(agentOf("billing", "v1"))

	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: w.path})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()

	service, err := controller.New(controller.Config{
		Agents: w.folder, Router: w.mesh, Workloads: w.machine, Context: w.context, Store: store,
	})
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	if err := service.Run(ctx); err != nil {
		t.Errorf("got %v", err)
	}

	if err := service.Ready(t.Context()); !fault.Is(err, "STARTING") {
		t.Errorf("ready: %v", err)
	}
}
