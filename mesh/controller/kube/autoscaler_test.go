package kube

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/serinhq/serin/internal/agentspec"
)

func (w *world) autoscalers() map[string]autoscalingv2.HorizontalPodAutoscaler {
	w.Helper()

	list, all := &autoscalingv2.HorizontalPodAutoscalerList{}, map[string]autoscalingv2.HorizontalPodAutoscaler{}
	w.must(w.client.List(w.Context(), list))

	for _, one := range list.Items {
		all[one.Name] = one
	}

	return all
}

// scaled has the autoscaler of a Deployment say how many pods it has.
func (w *world) scaled(name string, pods int32) {
	w.Helper()

	one := &appsv1.Deployment{}
	w.must(w.client.Get(w.Context(), client.ObjectKey{Namespace: testNamespace, Name: name}, one))
	one.Spec.Replicas = &pods
	w.must(w.client.Update(w.Context(), one, client.FieldOwner("kube-controller-manager")))
}

func (w *world) automatic() *workloads {
	config := w.config("one")
	config.Autoscaling = true

	return newWorkloads(config)
}

func (w *world) wantSize(when, name string, pods, least int32) {
	w.Helper()

	if got := w.deployments()[name].Spec.Replicas; got == nil || *got != pods {
		w.Errorf("%s: %s has %v pods, want %d", when, name, got, pods)
	}

	if got, ok := w.autoscalers()[name]; least == 0 && ok || least > 0 && (!ok || *got.Spec.MinReplicas != least) {
		w.Errorf("%s: %s has an autoscaler: %v, %+v; want it to keep %d", when, name, ok, got.Spec, least)
	}
}

// TestAutoscalersDecide how many pods there are, from what there was; and no longer, if the size is fixed.
func TestAutoscalersDecide(t *testing.T) {
	w := newWorld(t, object("billing", "v1"))
	stable, all := w.nameOf("v1"), map[string]int32{"v1": 0}

	w.apply(newWorkloads(w.config("one")), w.wants("v1", all, same))
	w.wantSize("without the metrics", stable, 4, 0)

	run := w.automatic()
	smaller := func(a *agentspec.Agent) { a.Spec.Scaling.MinReplicas = 3 }
	w.apply(run, w.wants("v1", all, smaller))
	w.wantSize("an autoscaler takes over", stable, 4, 3)

	w.apply(run, w.wants("v1", all, smaller))
	w.wantSize("it has not acted yet", stable, 4, 3)

	w.scaled(stable, 9)
	w.apply(run, w.wants("v1", all, smaller))
	w.wantSize("it has", stable, 9, 3)

	w.apply(run, w.wants("v1", all, func(a *agentspec.Agent) { a.Spec.Scaling.MinReplicas, a.Spec.Scaling.MaxReplicas = 5, 5 }))
	w.wantSize("the size is fixed", stable, 5, 0)

	w.apply(run, w.wants("v1", all, same))
	w.wantSize("it is not any more", stable, 5, 4)

	w.apply(newWorkloads(w.config("one")), w.wants("v1", all, same))
	w.wantSize("the metrics are gone", stable, 4, 0)
}

// TestAutoscalersAreAsDesigned for agents: quick to grow, slow to shrink.
func TestAutoscalersAreAsDesigned(t *testing.T) {
	w := newWorld(t, object("billing", "v1"))
	run := w.automatic()
	w.apply(run, w.wants("v1", map[string]int32{"v1": 0}, same))

	made := w.autoscalers()[w.nameOf("v1")]
	if to := made.Spec.ScaleTargetRef; to.APIVersion != "apps/v1" || to.Kind != "Deployment" || to.Name != w.nameOf("v1") || made.Spec.MaxReplicas != 20 {
		t.Errorf("it scales %+v to %d", to, made.Spec.MaxReplicas)
	}

	metrics := ""
	for _, one := range made.Spec.Metrics {
		metrics += fmt.Sprintf("%s %s %s %s, ", one.Type, one.Pods.Metric.Name, one.Pods.Target.Type, one.Pods.Target.AverageValue)
	}

	if want := "Pods active_conversations AverageValue 15, Pods llm_request_queue_depth AverageValue 5, "; metrics != want {
		t.Errorf("it looks at %s, want %s", metrics, want)
	}

	for want, rule := range map[string]*autoscalingv2.HPAScalingRules{
		"30 [{Pods 4 60}]": made.Spec.Behavior.ScaleUp, "300 [{Pods 1 120}]": made.Spec.Behavior.ScaleDown,
	} {
		if got := fmt.Sprintf("%d %v", *rule.StabilizationWindowSeconds, rule.Policies); got != want {
			t.Errorf("it scales by %s, want %s", got, want)
		}
	}

	if len(made.OwnerReferences) != 1 || made.OwnerReferences[0].UID != types.UID("billing") {
		t.Errorf("owners: %v", made.OwnerReferences)
	}

	w.apply(run) // the agent has gone

	if left := w.autoscalers(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestCandidatesGrowBeforeTheirTraffic to what their share of it needs, if the stable revision has grown.
func TestCandidatesGrowBeforeTheirTraffic(t *testing.T) {
	w := newWorld(t, object("billing", "v1"))
	run := w.automatic()
	stable, candidate := w.nameOf("v1"), w.nameOf("v2")

	w.apply(run, w.wants("v1", map[string]int32{"v1": 0}, same))
	w.scaled(stable, 15)

	w.apply(run, w.wants("v2", map[string]int32{"v1": 0, "v2": 5}, same))
	w.wantSize("at its least", candidate, 4, 4)

	w.apply(run, w.wants("v2", map[string]int32{"v1": 0, "v2": 50}, same))
	w.wantSize("the autoscaler is told", candidate, 4, 8)

	answer, err := run.look(t.Context())
	w.must(err)

	told := map[string]int32{}
	for _, one := range answer.GetSizes() {
		told[ObjectName(one.GetAgent(), one.GetRevision())] = one.GetProcesses()
	}

	if told[stable] != 15 || told[candidate] != 8 {
		t.Errorf("told: %v", told)
	}

	w.scaled(candidate, 15)
	w.apply(run, w.wants("v2", map[string]int32{"v2": 0, "v1": 0}, same))
	w.wantSize("promoted", candidate, 15, 4)
}

// TestAutoscalersStatusIsNoNews but a change of what they do is.
func TestAutoscalersStatusIsNoNews(t *testing.T) {
	before := (&Config{}).autoscaler("billing", &wantedRevision{}, size{automatic: true, least: 2, most: 20})
	after := before.DeepCopy()
	after.Status.CurrentReplicas = 7

	if scaledAnew().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}) {
		t.Error("a status is news")
	}

	after.Spec.MaxReplicas = 30

	if !scaledAnew().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}) || !scaledAnew().Create(event.CreateEvent{Object: after}) {
		t.Error("a change is no news")
	}

	if !scaledAnew().Update(event.UpdateEvent{ObjectOld: &corev1.Pod{}, ObjectNew: &corev1.Pod{}}) {
		t.Error("what is no autoscaler is held back")
	}
}
