package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/loadtest"
	"github.com/serinhq/serin/mesh/e2e/cluster"
	"github.com/serinhq/serin/mesh/e2e/install"
)

// TestTheControllerDiesInEveryPhase kills the controller that leads in each phase that the engine knows, on the way to an
// abort and on the way to a promotion and back: the one that takes over finds the rollout where it was.
func TestTheControllerDiesInEveryPhase(t *testing.T) {
	p := serin(t)
	first := p.rollout("billing").GetStable()

	p.whileTalking(4, func(ctx context.Context, load *loadtest.Load) {
		p.killedOnTheWayUp(first)
		more(ctx, t, load, 10)
		p.killedOnTheWayBack(first)
		more(ctx, t, load, 10)
	})
}

// killedOnTheWayUp walks Preparing, Progressing at each step, Paused, Aborting and Failed.
func (p *platform) killedOnTheWayUp(first string) {
	p.Helper()

	candidate := p.prompt("billing", "\nControllers come and go.")
	if before := p.rollout("billing"); before.GetPhase() != rolloutv1.Phase_PHASE_PREPARING {
		p.Errorf("want to kill the controller while the candidate starts; it is %s already", placeOf(before))
	}

	p.killLeader() // that takes longer than pods need: the next one finds them ready

	for _, weight := range []int32{5, 25, 50} {
		p.await("billing", fmt.Sprintf("at %d%%", weight), carries(candidate, weight))
		p.killedIn(rolloutv1.Phase_PHASE_PROGRESSING, "billing")

		if weight < 50 {
			p.steer("billing", "promote", &rolloutv1.PromoteRolloutRequest{})
		}
	}

	p.steer("billing", "pause", &rolloutv1.PauseRolloutRequest{})
	p.killedIn(rolloutv1.Phase_PHASE_PAUSED, "billing")

	p.steer("billing", "abort", &rolloutv1.AbortRolloutRequest{Reason: "a test"})
	p.killLeader() // in Aborting, or just after it
	p.await("billing", "aborted", settled(rolloutv1.Phase_PHASE_FAILED, first))
	p.killedIn(rolloutv1.Phase_PHASE_FAILED, "billing")
}

// killedOnTheWayBack walks Promoting, Succeeded, and Aborting by an undo.
func (p *platform) killedOnTheWayBack(first string) {
	p.Helper()

	p.steer("billing", "retry", &rolloutv1.RetryRolloutRequest{})
	candidate := p.await("billing", "tried again", func(r *rolloutv1.Rollout) bool { return r.GetAppliedWeight() > 0 }).GetCandidate()

	p.steer("billing", "promote", &rolloutv1.PromoteRolloutRequest{Full: true})
	p.killLeader()
	p.await("billing", "promoted", settled(rolloutv1.Phase_PHASE_SUCCEEDED, candidate))
	p.killedIn(rolloutv1.Phase_PHASE_SUCCEEDED, "billing")

	p.steer("billing", "undo", &rolloutv1.UndoRolloutRequest{})
	p.killLeader()
	p.await("billing", "undone", settled(rolloutv1.Phase_PHASE_FAILED, first))
}

// TestTheControllerDiesWhileARevisionRetires kills it after a promotion, while the revision before leaves.
func TestTheControllerDiesWhileARevisionRetires(t *testing.T) {
	p := serin(t)
	first := p.rollout("billing").GetStable()

	p.replan("billing", map[string]any{"undoWindow": "1s", "retireIdle": "1s", "retireAfter": "2s"})
	defer p.replan("billing", nil)

	p.whileTalking(4, func(ctx context.Context, load *loadtest.Load) {
		candidate := p.started("billing", "\nThe old ones go.", 50)
		p.steer("billing", "promote", &rolloutv1.PromoteRolloutRequest{Full: true})
		p.await("billing", "promoted", func(r *rolloutv1.Rollout) bool { return r.GetStable() == candidate })
		p.killLeader()
		p.await("billing", "alone", func(r *rolloutv1.Rollout) bool {
			return r.GetStable() == candidate && r.GetPhase() == rolloutv1.Phase_PHASE_IDLE && len(r.GetRevisions()) == 1
		})
		more(ctx, t, load, 10)
	})

	p.readyPods("billing", first, 0)
}

// replan changes the windows of an agent's rollouts; nil puts the defaults back.
func (p *platform) replan(agent string, windows map[string]any) {
	p.Helper()

	before := p.agent(agent)
	after := before.DeepCopy()

	for _, field := range []string{"undoWindow", "retireIdle", "retireAfter"} {
		unstructured.RemoveNestedField(after.Object, "spec", "rollout", field)
	}

	for field, value := range windows {
		p.must(unstructured.SetNestedField(after.Object, value, "spec", "rollout", field))
	}

	p.must(shared.Client.Patch(context.WithoutCancel(p.Context()), after, client.MergeFrom(before)))
}

// TestTwoControllers freezes the one that leads until another does, which aborts: the first one must not undo that when it
// wakes, and has to end.
func TestTwoControllers(t *testing.T) {
	p := serin(t)
	first := p.rollout("billing").GetStable()

	p.whileTalking(4, func(ctx context.Context, load *loadtest.Load) {
		p.started("billing", "\nThere can be one.", 50)

		old, holder := p.leader()
		restarts := old.Status.ContainerStatuses[0].RestartCount

		p.must(shared.Kubelet.Pause(install.Namespace, old.Name, controllerContainer))

		began := time.Now()

		p.answers(holder)
		figures.add("controller frozen", "another one answers after", since(began))
		p.aborted("billing", first)
		more(ctx, t, load, 10)

		decided := p.rollout("billing")

		p.must(shared.Kubelet.Resume(install.Namespace, old.Name, controllerContainer))
		p.eventually("the one that led has ended", func(ctx context.Context) error {
			if err := shared.Client.Get(ctx, client.ObjectKeyFromObject(old), old); err != nil {
				return err
			}

			if now := old.Status.ContainerStatuses[0].RestartCount; now == restarts {
				return fmt.Errorf("it was started again %d times", now)
			}

			return nil
		})
		more(ctx, t, load, 10)

		if now := p.rollout("billing"); placeOf(now) != placeOf(decided) {
			t.Errorf("after the abort it was %s, and is %s: %s", placeOf(decided), placeOf(now), now.GetReason())
		}

		if shares := p.split("billing"); shares[first] != 100 {
			t.Errorf("the mesh says %v after an abort", shares)
		}
	})
}

// TestIstiodDies: nobody who talks notices that it is away, and what is decided meanwhile is carried out once it is back.
func TestIstiodDies(t *testing.T) {
	p := serin(t)
	first := p.rollout("billing").GetStable()

	p.whileTalking(4, func(ctx context.Context, load *loadtest.Load) {
		candidate := p.started("billing", "\nWithout a mesh.", 25)

		shared.Istiod.Kill()
		more(ctx, t, load, 15)
		p.must(shared.Istiod.Start(ctx))

		p.steer("billing", "setWeight", &rolloutv1.SetWeightRequest{Weight: 50})
		p.await("billing", "at 50%", carries(candidate, 50))
		more(ctx, t, load, 10)

		// Its webhook is away with it: nothing can be written to the mesh, and yet an abort takes effect.
		shared.Istiod.Kill()
		p.steer("billing", "abort", &rolloutv1.AbortRolloutRequest{Reason: "without istiod"})
		more(ctx, t, load, 15)
		p.must(shared.Istiod.Start(ctx))
		p.await("billing", "aborted", settled(rolloutv1.Phase_PHASE_FAILED, first))
		more(ctx, t, load, 10)
	})
}

// TestTheAPIServerDies: conversations need none of it, and rollouts go on when it is back.
func TestTheAPIServerDies(t *testing.T) {
	p := serin(t)
	p.survives(shared.APIServer)
}

// TestEtcdIsRestarted is the same for what is behind the API server.
func TestEtcdIsRestarted(t *testing.T) {
	p := serin(t)
	p.survives(shared.Etcd)
}

// survives kills a component in the middle of a rollout, and starts it again after a while.
func (p *platform) survives(component *cluster.Component) {
	p.Helper()

	first := p.rollout("billing").GetStable()

	p.whileTalking(4, func(ctx context.Context, load *loadtest.Load) {
		candidate := p.started("billing", "\nWithout "+component.Name+".", 25)

		component.Kill()
		more(ctx, p.T, load, 20)
		p.must(component.Start(ctx))

		began := time.Now()

		p.await("billing", "as it was", carries(candidate, 25))
		p.eventually("the weight can be changed", func(ctx context.Context) error {
			_, err := p.gateway.Steer(ctx, "billing", "setWeight", &rolloutv1.SetWeightRequest{Weight: 50})

			return err
		})
		p.await("billing", "at 50%", carries(candidate, 50))
		figures.add(component.Name+" killed", "a new weight after it is back", since(began))
		more(ctx, p.T, load, 10)
		p.aborted("billing", first)
	})
}

// TestACanaryPodDies: of two one is enough.
func TestACanaryPodDies(t *testing.T) {
	p := serin(t)
	first := p.rollout("billing").GetStable()

	p.whileTalking(4, func(ctx context.Context, load *loadtest.Load) {
		candidate := p.started("billing", "\nOne of two.", 75)
		p.readyPods("billing", candidate, 2)
		p.must(shared.Kubelet.Kill(install.Namespace, p.podsOf("billing", candidate)[0].Name, "agent"))
		more(ctx, t, load, 15)
		p.readyPods("billing", candidate, 2)

		if now := p.rollout("billing"); !carries(candidate, 75)(now) {
			t.Errorf("one of two pods died, and the rollout is %s: %s", placeOf(now), now.GetReason())
		}

		p.aborted("billing", first)
	})
}

// TestAllCanaryPodsDie again and again: the mesh's weights do not look at health, so the platform aborts by itself.
func TestAllCanaryPodsDie(t *testing.T) {
	p := serin(t)
	first := p.rollout("billing").GetStable()

	p.whileTalking(4, func(ctx context.Context, load *loadtest.Load) {
		candidate := p.started("billing", "\nNone is left.", 50)
		took := p.killUntilAborted(ctx, candidate)
		figures.add("all canary pods killed", "the platform aborts by itself after", took.Round(10*time.Millisecond).String())

		after := p.await("billing", "aborted", settled(rolloutv1.Phase_PHASE_FAILED, first))
		if !strings.Contains(after.GetReason(), "no ready process") {
			t.Errorf("it was aborted because %q", after.GetReason())
		}

		more(ctx, t, load, 15)
	})
}

// killUntilAborted kills all pods of a candidate as often as they come back, and says how long the rollout went on.
func (p *platform) killUntilAborted(ctx context.Context, candidate string) time.Duration {
	p.Helper()

	began := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)

	defer tick.Stop()

	for p.rollout("billing").GetCandidate() == candidate {
		all := p.podsOf("billing", candidate)
		for i := range all {
			_ = shared.Kubelet.Kill(install.Namespace, all[i].Name, "agent") // one that is dead already can't be killed
		}

		select {
		case <-tick.C:
		case <-ctx.Done():
			p.Fatal("the platform does not abort")
		}
	}

	return time.Since(began)
}
