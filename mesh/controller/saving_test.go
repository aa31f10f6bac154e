package controller_test

import (
	"context"
	"testing"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
)

// soon is how long an abort may take in these tests: well below the time that a write to the store has.
const soon = 3 * time.Second

// takenBack waits until mesh and store have an abort of a revision, which must be soon.
func (w *world) takenBack(revision string, since time.Time) {
	w.Helper()

	w.eventually("mesh and store have the abort", func() bool {
		return w.mesh.routing("billing").Redirects[revision] != "" && w.lastWithdrawals()[revision] != ""
	})

	if took := time.Since(since); took > soon {
		w.Errorf("the abort took %s", took)
	}
}

// halfway has a decision hang that would give the candidate half of everything, and returns how it ends.
func (w *world) halfway(stored *slowStore) <-chan error {
	w.Helper()

	ended := make(chan error, 1)

	stored.hang(true)

	go func() {
		_, err := w.service.SetWeight(w.operator(), &rolloutv1.SetWeightRequest{Agent: "billing", Weight: 50})
		ended <- err
	}()

	w.eventually("the weight hangs", func() bool { return stored.hanging.Load() == 1 })

	return ended
}

// TestAbortOvertakesWhatIsBeingKept: neither a decision that the disk is slow to keep, nor an abort that is, keeps the
// agent from aborting.
func TestAbortOvertakesWhatIsBeingKept(t *testing.T) {
	w := newWorld(t)
	w.write(agentOf("billing", "v1"))
	stored := w.slow()
	w.start()
	w.waitReady()

	b := w.write(agentOf("billing", "v2"))
	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)

	weighed := w.halfway(stored)
	began := time.Now()
	aborted := make(chan error, 2)

	abort := func(fence bool) {
		_, err := w.service.AbortRollout(w.operator(), &rolloutv1.AbortRolloutRequest{Agent: "billing", Fence: fence})
		aborted <- err
	}

	go abort(false)

	w.takenBack(b, began)
	w.eventually("the abort hangs", func() bool { return stored.hanging.Load() == 1 })

	began = time.Now()

	go abort(true)

	w.eventually("the store has the fence", func() bool {
		all := w.context.withdrawn("billing")

		return len(all) == 2 && all[1].GetFence()
	})

	if took := time.Since(began); took > soon {
		t.Errorf("the fence took %s", took)
	}

	stored.hang(false)

	for range 2 {
		if err := <-aborted; err != nil {
			t.Error(err)
		}
	}

	if err := <-weighed; !fault.Is(err, "NO_CANDIDATE") {
		t.Errorf("the weight that was overtaken: %v", err)
	}

	w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)
	w.neverUndone()

	for _, intent := range w.mesh.carried("billing") {
		if intent.Weight == 50 {
			t.Errorf("the weight was carried out: %+v", w.mesh.carried("billing"))
		}
	}

	w.stop()
	w.start()

	if got := w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED); len(got.GetRejected()) != 1 {
		t.Errorf("after a restart: %v", got)
	}
}

// TestAbortsByItselfOvertake: a candidate that dies, and one that fails, are taken back while the disk hangs.
func TestAbortsByItselfOvertake(t *testing.T) {
	for name, goesWrong := range map[string]func(w *world, revision string){
		"unready": func(w *world, revision string) {
			w.machine.breaks("billing", revision, "it crashes")
			w.eventually("it is seen", func() bool { return candidate(w.rollout("billing")).GetReadyReplicas() == 0 })
			<-time.After(50 * time.Millisecond) // the agent has looked
			w.later(4 * time.Second)
		},
		"failing": func(w *world, revision string) {
			w.context.happen(w.now(), "billing", revision, contextv1.Outcome_KIND_FAILED, 50, time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write(agentOf("billing", "v1"))
			stored := w.slow()
			w.start()
			w.waitReady()

			next := agentOf("billing", "v2")
			if err := w.startRollout(next, &rolloutv1.Plan{Automatic: true}); err != nil {
				t.Fatal(err)
			}

			w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)
			weighed := w.halfway(stored)
			began := time.Now()

			goesWrong(w, short(next))
			w.takenBack(short(next), began)
			stored.hang(false)

			if err := <-weighed; !fault.Is(err, "NO_CANDIDATE") {
				t.Errorf("the weight that was overtaken: %v", err)
			}

			w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)
		})
	}
}

// TestSupersedeIsKeptBeforeItIsAnswered: the old candidate is taken back at once; the new one begins once it is kept, or
// not at all.
func TestSupersedeIsKeptBeforeItIsAnswered(t *testing.T) {
	w := newWorld(t)
	a := w.write(agentOf("billing", "v1"))
	stored := w.slow()
	w.start()
	w.waitReady()

	b := w.write(agentOf("billing", "v2"))
	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)
	stored.fail.Store(true)

	third := agentOf("billing", "v3")
	if err := w.startRollout(third, nil); !fault.Is(err, "DISK_FULL") {
		t.Errorf("a start that was not kept: %v", err)
	}

	w.eventually("the mesh takes the old one back", func() bool {
		got := w.mesh.routing("billing")

		return got.Redirects[b] == a && got.Intent.Candidate == ""
	})

	stored.fail.Store(false)
	w.eventually("all is as it was", func() bool { return w.phase() == rolloutv1.Phase_PHASE_IDLE })

	if got := w.rollout("billing"); len(got.GetRejected()) > 0 {
		t.Errorf("the one that was taken back is rejected: %v", got)
	}

	if err := w.startRollout(third, nil); err != nil {
		t.Fatal(err)
	}

	w.stop()
	w.start()
	w.eventually("it is the candidate after a restart", func() bool { return w.rollout("billing").GetCandidate() == short(third) })
	w.eventually("it runs", func() bool {
		return len(w.rollout("billing").GetProblems()) == 0 && candidate(w.rollout("billing")).GetReadyReplicas() == 1
	})
	w.neverUndone()
}

// TestCallersWhoHaveEnoughHearTheTruth: that the mesh is not known is a reason only where it is one.
func TestCallersWhoHaveEnoughHearTheTruth(t *testing.T) {
	w := newWorld(t)
	w.write(agentOf("billing", "v1"))
	stored := w.slow()
	w.start()
	w.waitReady()
	w.write(agentOf("billing", "v2"))
	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)

	weighed := w.halfway(stored)

	for name, test := range map[string]struct {
		ctx  func() (context.Context, context.CancelFunc)
		want string
	}{
		"it took too long": {func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(w.operator(), 20*time.Millisecond)
		}, "DEADLINE_EXCEEDED"},
		"they went away": {func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(w.operator())
			cancel()

			return ctx, cancel
		}, "CANCELLED"},
	} {
		ctx, cancel := test.ctx()
		_, err := w.service.PauseRollout(ctx, &rolloutv1.PauseRolloutRequest{Agent: "billing"})

		cancel()

		if !fault.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}

	stored.hang(false)

	if err := <-weighed; err != nil {
		t.Error(err)
	}
}
