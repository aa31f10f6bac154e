package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/controller/kube"
	"github.com/serinhq/serin/mesh/e2e/install"
	"github.com/serinhq/serin/mesh/istio"
)

// controllerContainer is the one of the controller's pods.
const controllerContainer = "controller"

// lease says who leads: a name of the process, not of its pod.
func (p *platform) lease(ctx context.Context) (string, error) {
	found := &coordinationv1.Lease{}
	if err := shared.Client.Get(ctx, client.ObjectKey{Namespace: install.Namespace, Name: "serin-controller"}, found); err != nil {
		return "", err
	}

	if found.Spec.HolderIdentity == nil {
		return "", nil
	}

	return *found.Spec.HolderIdentity, nil
}

// leader returns the pod of the controller that leads, and what the lease calls it.
func (p *platform) leader() (pod *corev1.Pod, holder string) {
	p.Helper()

	p.eventually("one controller leads", func(ctx context.Context) error {
		list := &corev1.PodList{}

		err := shared.Client.List(ctx, list, client.InNamespace(install.Namespace),
			client.MatchingLabels{"app": rpc.Controller, kube.LeaderLabel: "true"})
		if err != nil {
			return err
		}

		if holder, err = p.lease(ctx); err != nil {
			return err
		}

		if len(list.Items) != 1 || !isReady(&list.Items[0]) || !strings.HasPrefix(holder, list.Items[0].Name) {
			return fmt.Errorf("%d pods are marked, %q holds the lease", len(list.Items), holder)
		}

		pod = &list.Items[0]

		return nil
	})

	return pod, holder
}

// answers waits until another process than the one that led leads, and tells about rollouts.
func (p *platform) answers(before string) {
	p.Helper()

	p.eventually("another controller leads", func(ctx context.Context) error {
		now, err := p.lease(ctx)
		if err == nil && (now == "" || now == before) {
			err = fmt.Errorf("%q holds the lease", now)
		}

		return err
	})
	p.eventually("it tells about rollouts", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()

		return p.gateway.Call(ctx, http.MethodGet, "/v1/rollouts", nil, &rolloutv1.ListRolloutsResponse{})
	})
}

// killLeader ends the controller that leads by SIGKILL, and returns when another one leads.
func (p *platform) killLeader() {
	p.Helper()

	pod, holder := p.leader()
	p.must(shared.Kubelet.Kill(install.Namespace, pod.Name, controllerContainer))
	p.answers(holder)
}

// killedIn kills the controller while a rollout is in a phase, and wants it where it was afterwards.
func (p *platform) killedIn(phase rolloutv1.Phase, agent string) {
	p.Helper()

	before := p.rollout(agent)
	if before.GetPhase() != phase {
		p.Fatalf("the rollout is %s, want %s: %v", before.GetPhase(), phase, before)
	}

	began := time.Now()
	p.killLeader()
	figures.add("controller killed", "in "+phase.String()[len("PHASE_"):], "answers after "+since(began))

	after := p.rollout(agent)
	if placeOf(after) != placeOf(before) {
		p.Errorf("killed in %s: the rollout was %s and is %s: %s", phase, placeOf(before), placeOf(after), after.GetReason())
	}
}

// placeOf is where a rollout is, in short.
func placeOf(r *rolloutv1.Rollout) string {
	return fmt.Sprintf("attempt %d %s stable %s candidate %q at %d%%", r.GetAttempt(), r.GetPhase(), r.GetStable(), r.GetCandidate(), r.GetWeight())
}

func since(began time.Time) string { return time.Since(began).Round(10 * time.Millisecond).String() }

// podsOf are the pods of a revision, whether they are ready or not.
func (p *platform) podsOf(agent, revision string) []corev1.Pod {
	p.Helper()

	list := &corev1.PodList{}
	p.must(shared.Client.List(p.Context(), list, client.InNamespace(install.Namespace),
		client.MatchingLabels{kube.AgentLabel: agent, istio.RevisionLabel: revision}))

	return list.Items
}

// readyPods waits until a revision has so many ready pods.
func (p *platform) readyPods(agent, revision string, want int) {
	p.Helper()

	p.eventually(fmt.Sprintf("%s %s has %d ready pods", agent, revision, want), func(context.Context) error {
		ready := 0

		all := p.podsOf(agent, revision)
		for i := range all {
			if isReady(&all[i]) {
				ready++
			}
		}

		if ready != want {
			return fmt.Errorf("%d of %d pods are ready", ready, len(all))
		}

		return nil
	})
}

// started begins a rollout by another prompt and brings it to a weight.
func (p *platform) started(agent, suffix string, weight int32) (candidate string) {
	p.Helper()

	candidate = p.prompt(agent, suffix)
	first := p.await(agent, "met by someone", func(r *rolloutv1.Rollout) bool {
		return r.GetCandidate() == candidate && r.GetAppliedWeight() > 0
	})

	if first.GetWeight() != weight {
		p.steer(agent, "setWeight", &rolloutv1.SetWeightRequest{Weight: weight})
		p.await(agent, fmt.Sprintf("at %d%%", weight), carries(candidate, weight))
	}

	return candidate
}

// aborted gives everything back and waits until that is done.
func (p *platform) aborted(agent, stable string) {
	p.Helper()

	p.steer(agent, "abort", &rolloutv1.AbortRolloutRequest{Reason: "the test is over"})
	p.await(agent, "aborted", settled(rolloutv1.Phase_PHASE_FAILED, stable))
}
