package controller_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/controller"
	"github.com/serinhq/serin/mesh/istio"
)

// life is one life of a controller. It ends ahead of one of its effects: from then on nothing that it does takes place.
type life struct {
	mu      sync.Mutex
	effects int
	end     int
	dead    chan struct{}
}

var errDead = errors.New("dead")

func newLife(end int) *life { return &life{end: end, dead: make(chan struct{})} }

// effect lets one effect take place, if the controller lives.
func (l *life) effect(take func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()

	select {
	case <-l.dead:
		return errDead
	default:
	}

	l.effects++

	if l.effects == l.end {
		close(l.dead)

		return errDead
	}

	return take()
}

// count is how many effects have taken place so far.
func (l *life) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.effects
}

func (l *life) died() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

type mortalRouter struct {
	controller.Router

	life *life
}

func (r mortalRouter) Apply(ctx context.Context, agent istio.Agent, routing istio.Routing) (progress istio.Progress, err error) {
	seen, err := r.Observe(ctx, agent)
	if err == nil && seen.Observed != nil && *seen.Observed == routing.Intent {
		return r.Router.Apply(ctx, agent, routing) // nothing to write: no effect
	}

	err = r.life.effect(func() error {
		var failed error
		progress, failed = r.Router.Apply(ctx, agent, routing)

		return failed
	})

	return progress, err
}

func (r mortalRouter) Authorize(ctx context.Context, agent istio.Agent, callers []string) error {
	return r.life.effect(func() error { return r.Router.Authorize(ctx, agent, callers) })
}

type mortalStore struct {
	controller.Store

	life *life
}

func (s mortalStore) Save(ctx context.Context, record controller.Record, entries ...controller.HistoryEntry) error {
	return s.life.effect(func() error { return s.Store.Save(ctx, record, entries...) })
}

func (s mortalStore) PutRevision(ctx context.Context, revision controller.Revision) error {
	return s.life.effect(func() error { return s.Store.PutRevision(ctx, revision) })
}

type mortalContext struct {
	contextv1.ContextServiceClient

	life *life
}

func (c mortalContext) Withdraw(
	ctx context.Context, request *contextv1.WithdrawRequest, options ...grpc.CallOption,
) (response *contextv1.WithdrawResponse, err error) {
	err = c.life.effect(func() error {
		var failed error
		response, failed = c.ContextServiceClient.Withdraw(ctx, request, options...)

		return failed
	})

	return response, err
}

type mortalMachine struct {
	workloadv1.WorkloadServiceClient

	life *life
}

func (m mortalMachine) Apply(
	ctx context.Context, request *workloadv1.ApplyRequest, options ...grpc.CallOption,
) (response *workloadv1.ApplyResponse, err error) {
	err = m.life.effect(func() error {
		var failed error
		response, failed = m.WorkloadServiceClient.Apply(ctx, request, options...)

		return failed
	})

	return response, err
}

// live starts a controller that dies ahead of an effect; 0 is never.
func (w *world) live(end int) *life {
	one := newLife(end)
	w.configure = func(config *controller.Config) {
		config.Router = mortalRouter{config.Router, one}
		config.Store = mortalStore{config.Store, one}
		config.Context = mortalContext{config.Context, one}
		config.Workloads = mortalMachine{config.Workloads, one}
		config.CarriedOut = 100 * time.Millisecond
	}
	w.start()

	return one
}

// reborn starts the controller again if it died.
func (w *world) reborn(one *life) *life {
	if one.died() {
		w.stop()

		return w.live(0)
	}

	return one
}

// insist does something until it has happened: the controller may die at any time, and whoever asked asks again.
func (w *world) insist(one *life, what string, try func() (done bool)) *life {
	w.Helper()

	for deadline := time.Now().Add(patience); ; {
		if one = w.reborn(one); try() && !one.died() {
			return one
		}

		if time.Now().After(deadline) {
			w.Fatalf("waited in vain until %s; the rollouts: %v", what, w.list())
		}

		<-time.After(time.Millisecond)
	}
}

// phase is a rollout's, if it can be read.
func (w *world) phase() rolloutv1.Phase { return w.rollout("billing").GetPhase() }

func (w *world) try(act func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(w.operator(), time.Second)
	defer cancel()

	return act(ctx)
}

// saga tells the whole story of an agent: a first revision, a candidate that is aborted and tried again and promoted, a
// promotion that is undone, and a candidate that is superseded.
func (w *world) saga(one *life) *life {
	first := w.write(agentOf("billing", "v1"))
	one = w.insist(one, "the first is stable", func() bool { return w.rollout("billing").GetStable() == first && w.service.Ready(w.Context()) == nil })

	second := w.write(agentOf("billing", "v2"))
	progressing := func() bool { return w.phase() == rolloutv1.Phase_PHASE_PROGRESSING }
	one = w.insist(one, "the second is tried", progressing)

	one = w.insist(one, "it has a weight by hand", func() bool {
		_ = w.try(func(ctx context.Context) error {
			_, err := w.service.SetWeight(ctx, &rolloutv1.SetWeightRequest{Agent: "billing", Weight: 40})

			return err
		})

		return w.phase() == rolloutv1.Phase_PHASE_PAUSED && w.mesh.routing("billing").Intent.Weight == 40
	})

	aborted := false
	one = w.insist(one, "it is aborted", func() bool {
		err := w.try(func(ctx context.Context) error {
			_, err := w.service.AbortRollout(ctx, &rolloutv1.AbortRolloutRequest{Agent: "billing"})

			return err
		})
		aborted = aborted || err == nil || fault.Is(err, "NO_CANDIDATE")

		return aborted
	})
	one = w.insist(one, "it has failed", func() bool { return w.phase() == rolloutv1.Phase_PHASE_FAILED })
	one = w.insist(one, "it is tried again", func() bool {
		_ = w.try(func(ctx context.Context) error {
			_, err := w.service.RetryRollout(ctx, &rolloutv1.RetryRolloutRequest{Agent: "billing"})

			return err
		})

		return progressing()
	})
	one = w.insist(one, "it is promoted", func() bool {
		_ = w.try(func(ctx context.Context) error {
			_, err := w.service.PromoteRollout(ctx, &rolloutv1.PromoteRolloutRequest{Agent: "billing", Full: true})

			return err
		})

		return w.phase() == rolloutv1.Phase_PHASE_SUCCEEDED
	})
	one = w.insist(one, "that is undone", func() bool {
		_ = w.try(func(ctx context.Context) error {
			_, err := w.service.UndoRollout(ctx, &rolloutv1.UndoRolloutRequest{Agent: "billing"})

			return err
		})

		return w.rollout("billing").GetStable() == first && w.phase() == rolloutv1.Phase_PHASE_FAILED
	})

	third := w.write(agentOf("billing", "v3"))
	one = w.insist(one, "the third is tried", func() bool { return progressing() && w.rollout("billing").GetCandidate() == third })
	one = w.insist(one, "it is paused", func() bool {
		_ = w.try(func(ctx context.Context) error {
			_, err := w.service.PauseRollout(ctx, &rolloutv1.PauseRolloutRequest{Agent: "billing"})

			return err
		})

		return w.phase() == rolloutv1.Phase_PHASE_PAUSED
	})
	fourth := w.write(agentOf("billing", "v4"))
	one = w.insist(one, "the fourth takes its place", func() bool { return progressing() && w.rollout("billing").GetCandidate() == fourth })

	return w.insist(one, "the world is as wanted", func() bool {
		got, withdrawn := w.mesh.routing("billing"), w.lastWithdrawals()

		return got.Intent.Candidate == fourth && got.Intent.Weight == 5 && got.Redirects[second] == first &&
			got.Redirects[third] == first && withdrawn[second] == first && withdrawn[third] == first &&
			slices.Contains(w.machine.running(), "billing-"+fourth)
	})
}

// retirement tells how a revision is replaced and retires.
func (w *world) retirement(one *life) *life {
	first := w.write(agentOf("billing", "v1"))
	one = w.insist(one, "the first is stable", func() bool { return w.rollout("billing").GetStable() == first })

	second := w.write(agentOf("billing", "v2", func(spec *agentspec.AgentSpec) { spec.Rollout.Steps = []int32{100} }))
	one = w.insist(one, "the second is stable", func() bool { return w.rollout("billing").GetStable() == second })

	w.later(16 * time.Minute)
	one = w.insist(one, "the first drains", func() bool { return roles(w.rollout("billing"))[first] == "draining" })
	w.later(25 * time.Hour)
	one = w.insist(one, "the first is retired", func() bool { return w.lastWithdrawals()[first] == second })
	w.later(time.Minute)

	return w.insist(one, "nothing but the second is left", func() bool {
		return slices.Equal(w.mesh.routing("billing").Live, []string{second}) &&
			slices.Equal(w.machine.running(), []string{"billing-" + second})
	})
}

// lastWithdrawals is what the store says of each revision: the highest attempt counts.
func (w *world) lastWithdrawals() map[string]string {
	last, attempts := map[string]string{}, map[string]int64{}

	for _, one := range w.context.withdrawn("billing") {
		if one.GetAttempt() >= attempts[one.GetRevision()] {
			attempts[one.GetRevision()], last[one.GetRevision()] = one.GetAttempt(), one.GetReplacement()
		}
	}

	return last
}

// neverUndone checks that no candidate got weight in an attempt after an abort of it in that attempt.
func (w *world) neverUndone() {
	w.Helper()

	aborted := map[string]bool{}

	for _, intent := range w.mesh.carried("billing") {
		rollout := fmt.Sprint(intent.Attempt)

		switch {
		case intent.Phase == "Aborting":
			aborted[rollout] = true
		case intent.Weight > 0 && aborted[rollout]:
			w.Errorf("attempt %s was aborted, and then got weight: %+v", rollout, w.mesh.carried("billing"))
		}
	}
}

// TestDeathBetweenAnyTwoEffects lets the controller die ahead of each thing that it does, which is after the one before.
func TestDeathBetweenAnyTwoEffects(t *testing.T) {
	for name, story := range map[string]struct {
		tell  func(*world, *life) *life
		least int
	}{
		"saga": {(*world).saga, 40}, "retirement": {(*world).retirement, 15},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			told := story.tell(w, w.live(0))
			w.stop()

			all := told.count()
			t.Logf("the story has %d effects", all)

			if all < story.least {
				t.Fatalf("only %d effects: the test does not see them", all)
			}

			step := 1
			if testing.Short() {
				step = 7
			}

			for end := 1; end <= all; end += step {
				t.Run(strconv.Itoa(end), func(t *testing.T) {
					t.Parallel()

					w := newWorld(t)
					story.tell(w, w.live(end))
					w.neverUndone()
				})
			}
		})
	}
}
