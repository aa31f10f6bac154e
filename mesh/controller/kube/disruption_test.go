package kube

import (
	"maps"
	"slices"
	"testing"

	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/serinhq/serin/internal/agentspec"
)

func (w *world) budgets() map[string]policyv1.PodDisruptionBudget {
	w.Helper()

	list, all := &policyv1.PodDisruptionBudgetList{}, map[string]policyv1.PodDisruptionBudget{}
	w.must(w.client.List(w.Context(), list))

	for _, one := range list.Items {
		all[one.Name] = one
	}

	return all
}

// TestNodesAreDrainedByHalves of each revision, and a revision with one pod never is in the way.
func TestNodesAreDrainedByHalves(t *testing.T) {
	w := newWorld(t, object("billing", "v1"))
	run := newWorkloads(w.config("one"))
	stable, candidate := w.nameOf("v1"), w.nameOf("v2")

	for _, step := range []struct {
		name   string
		shares map[string]int32
		size   int32
		want   []string
	}{
		{"the candidate has one pod", map[string]int32{"v1": 0, "v2": 5}, 4, []string{stable}},
		{"the candidate has two", map[string]int32{"v1": 0, "v2": 50}, 4, []string{stable, candidate}},
		{"each has one", map[string]int32{"v1": 0, "v2": 50}, 1, []string{}},
		{"the candidate was promoted", map[string]int32{"v2": 0}, 2, []string{candidate}},
	} {
		w.apply(run, w.wants("v2", step.shares, func(a *agentspec.Agent) { a.Spec.Scaling.MinReplicas = step.size }))

		slices.Sort(step.want)

		if got := slices.Sorted(maps.Keys(w.budgets())); !slices.Equal(got, step.want) {
			t.Errorf("%s: budgets of %q, want %q", step.name, got, step.want)
		}
	}

	made := w.budgets()[candidate]
	if made.Spec.MinAvailable.String() != "50%" || *made.Spec.UnhealthyPodEvictionPolicy != policyv1.AlwaysAllow {
		t.Errorf("it keeps %+v", made.Spec)
	}

	if pods := w.deployments()[candidate].Spec.Template.Labels; !selects(made.Spec.Selector.MatchLabels, pods) ||
		selects(made.Spec.Selector.MatchLabels, revisionLabels("billing", "of another revision")) {
		t.Errorf("it selects %v, and the pods are %v", made.Spec.Selector, pods)
	}

	if len(made.OwnerReferences) != 1 || made.OwnerReferences[0].UID != types.UID("billing") {
		t.Errorf("owners: %v", made.OwnerReferences)
	}

	w.apply(run) // the agent has gone

	if left := w.budgets(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func selects(selector, labels map[string]string) bool {
	for name, value := range selector {
		if labels[name] != value {
			return false
		}
	}

	return len(selector) > 0
}
