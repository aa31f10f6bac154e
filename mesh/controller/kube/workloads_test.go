package kube

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	security "istio.io/client-go/pkg/apis/security/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/api/v1alpha1"
	"github.com/serinhq/serin/mesh/controller/storetest"
	"github.com/serinhq/serin/mesh/istio"
)

func (w *world) apply(from *workloads, agents ...*workloadv1.Agent) {
	w.Helper()

	_, err := from.Apply(w.Context(), &workloadv1.ApplyRequest{Agents: agents})
	w.must(err)

	for len(from.again) > 0 {
		one := <-from.again
		if _, err := from.Reconcile(w.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(one.Object)}); err != nil {
			w.Fatal(err)
		}
	}
}

// wants is an agent with revisions by their prompts, each with a share.
func (w *world) wants(declared string, shares map[string]int32, edit func(*agentspec.Agent)) *workloadv1.Agent {
	w.Helper()

	wanted := &workloadv1.Agent{Name: "billing"}

	read, err := parse(storetest.Revision(w.T, "billing", declared).Declaration)
	w.must(err)
	read.Spec.Scaling.MinReplicas = 4
	edit(&read)

	data, err := agentspec.MarshalResolved(read)
	w.must(err)
	wanted.Declaration = string(data)

	for prompt, share := range shares {
		revision := storetest.Revision(w.T, "billing", prompt)
		wanted.Revisions = append(wanted.Revisions, &workloadv1.Revision{
			Revision: revision.Name, Declaration: revision.Declaration, Share: share,
		})
	}

	return wanted
}

func (w *world) deployments() map[string]appsv1.Deployment {
	w.Helper()

	list, all := &appsv1.DeploymentList{}, map[string]appsv1.Deployment{}
	w.must(w.client.List(w.Context(), list))

	for _, one := range list.Items {
		all[one.Name] = one
	}

	return all
}

func (w *world) nameOf(prompt string) string {
	w.Helper()

	return ObjectName("billing", agentspec.Short(storetest.Revision(w.T, "billing", prompt).Name))
}

func same(*agentspec.Agent) {}

// TestRevisionsRun in a Deployment each, as large as their share.
func TestRevisionsRun(t *testing.T) {
	w := newWorld(t, object("billing", "v1"))
	run := newWorkloads(w.config("one"))

	w.apply(run, w.wants("v1", map[string]int32{"v1": 0}, same))
	w.apply(run, w.wants("v2", map[string]int32{"v1": 0, "v2": 30}, same))

	all := w.deployments()
	if len(all) != 2 || *all[w.nameOf("v1")].Spec.Replicas != 4 || *all[w.nameOf("v2")].Spec.Replicas != 2 {
		t.Fatalf("deployments: %+v", all)
	}

	made := all[w.nameOf("v2")]
	short := agentspec.Short(storetest.Revision(t, "billing", "v2").Name)

	if labels := made.Spec.Template.Labels; labels["app"] != "billing" || labels[istio.RevisionLabel] != short || labels["version"] != short {
		t.Errorf("labels: %v", labels)
	}

	if len(made.OwnerReferences) != 1 || made.OwnerReferences[0].UID != types.UID("billing") {
		t.Errorf("owners: %v", made.OwnerReferences)
	}

	access := &security.AuthorizationPolicy{}
	w.must(w.client.Get(t.Context(), client.ObjectKey{Namespace: testNamespace, Name: "serin-agent-billing"}, access))

	if who := access.Spec.GetRules()[0].GetFrom()[0].GetSource().GetPrincipals(); !slices.Equal(who, []string{"cluster.local/ns/shop/sa/billing"}) {
		t.Errorf("may use conversations and tools: %v", who)
	}

	w.apply(run, w.wants("v2", map[string]int32{"v2": 0}, same))

	if all := w.deployments(); len(all) != 1 || *all[w.nameOf("v2")].Spec.Replicas != 4 {
		t.Fatalf("after the promotion: %+v", all)
	}

	w.apply(run) // the agent has gone

	if all := w.deployments(); len(all) != 0 {
		t.Errorf("left: %+v", all)
	}

	for name, object := range map[string]client.Object{
		"Service": &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "billing"}},
		"account": &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "billing"}},
		"policy":  access,
	} {
		err := w.client.Get(t.Context(), client.ObjectKey{Namespace: testNamespace, Name: object.GetName()}, object)
		if !apierrors.IsNotFound(err) {
			t.Errorf("left: the %s, %v", name, err)
		}
	}
}

// TestNothingIsStoppedBeforeAnyoneSaidWhatRuns keeps what runs after a restart.
func TestNothingIsStoppedBeforeAnyoneSaidWhatRuns(t *testing.T) {
	w := newWorld(t, object("billing", "v1"))
	w.apply(newWorkloads(w.config("one")), w.wants("v1", map[string]int32{"v1": 0}, same))

	again := newWorkloads(w.config("two"))

	key := client.ObjectKey{Namespace: testNamespace, Name: "billing"}
	if _, err := again.Reconcile(t.Context(), reconcile.Request{NamespacedName: key}); err != nil || len(w.deployments()) != 1 {
		t.Errorf("%v, %v", w.deployments(), err)
	}
}

// TestPodsAreAsTheAgentSays where they may be.
func TestPodsAreAsTheAgentSays(t *testing.T) {
	w := newWorld(t, object("billing", "v1"))
	run := newWorkloads(w.config("one"))

	w.apply(run, w.wants("v1", map[string]int32{"v1": 0}, func(a *agentspec.Agent) {
		a.Spec.Pod.Metadata.Labels = map[string]string{"team": "money", "app": "mine"}
		a.Spec.Pod.Spec = agentspec.Object(`{"containers":[{"name":"agent","env":[{"name":"A","value":"b"}]},{"name":"side","image":"other"}],"initContainers":[{"name":"ambassador","env":[{"name":"C","value":"d"}]}],"serviceAccountName":"admin"}`)
	}))

	template := w.deployments()[w.nameOf("v1")].Spec.Template
	containers := []string{}

	for _, container := range slices.Concat(template.Spec.InitContainers, template.Spec.Containers) {
		text, _ := json.Marshal(container.Env)
		containers = append(containers, container.Name+" "+container.Image+" "+string(text))
	}

	slices.Sort(containers)

	if want := []string{`agent serin [{"name":"A","value":"b"}]`, `ambassador serin [{"name":"C","value":"d"}]`, "side other null"}; !slices.Equal(containers, want) {
		t.Errorf("containers: %q", containers)
	}

	if template.Labels["team"] != "money" || template.Labels["app"] != "billing" || template.Spec.ServiceAccountName != "billing" {
		t.Errorf("someone else's pod: %v, %s", template.Labels, template.Spec.ServiceAccountName)
	}
}

// TestWatchTellsHowPodsAre, and why they are not as they shall be.
func TestWatchTellsHowPodsAre(t *testing.T) {
	w := newWorld(t, object("billing", "v1"))
	run := newWorkloads(w.config("one"))
	w.apply(run, w.wants("v1", map[string]int32{"v1": 0}, same))

	pod := &corev1.Pod{}
	pod.Namespace, pod.Name = testNamespace, "billing-1"
	pod.Labels = revisionLabels("billing", storetest.Revision(t, "billing", "v1").Name)
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "agent", RestartCount: 3, State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off"},
	}}}
	w.must(w.client.Create(t.Context(), pod))

	stream, err := run.Watch(t.Context(), &workloadv1.WatchRequest{})
	w.must(err)

	answer, err := stream.Recv()
	w.must(err)

	if len(answer.GetStatuses()) != 1 || len(answer.GetSizes()) != 1 || answer.GetSizes()[0].GetProcesses() != 4 {
		t.Fatalf("told: %v", answer)
	}

	if one := answer.GetStatuses()[0]; one.GetReady() || one.GetRestarts() != 3 || !strings.Contains(one.GetProblem(), "CrashLoopBackOff") {
		t.Errorf("told: %v", one)
	}

	pod.Status.ContainerStatuses = nil
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	w.must(w.client.Status().Update(t.Context(), pod))
	run.trouble("billing", "exceeded quota")

	if answer, err = stream.Recv(); err != nil || len(answer.GetStatuses()) != 2 {
		t.Fatalf("told: %v, %v", answer, err)
	}

	ready, problems := 0, ""

	for _, one := range answer.GetStatuses() {
		if one.GetReady() {
			ready++
		}

		problems += one.GetProblem()
	}

	if ready != 1 || problems != "exceeded quota" {
		t.Errorf("told: %v", answer)
	}
}

// TestTheCatalogueSaysWhoThereIs by the time that Apply returns.
func TestTheCatalogueSaysWhoThereIs(t *testing.T) {
	w := newWorld(t)
	run := newWorkloads(w.config("one"))
	w.apply(run, w.wants("v1", map[string]int32{"v1": 0}, same))

	written := &corev1.ConfigMap{}
	w.must(w.client.Get(t.Context(), client.ObjectKey{Namespace: testNamespace, Name: CatalogueMap}, written))

	if written.Data[CatalogueKey] != "billing" {
		t.Errorf("it says %q", written.Data[CatalogueKey])
	}
}

// TestRefusedPodsAreTold with the reason of whoever refuses them.
func TestRefusedPodsAreTold(t *testing.T) {
	w := newWorld(t, object("billing", "v1"))
	run := newWorkloads(w.config("one"))
	w.apply(run, w.wants("v1", map[string]int32{"v1": 0}, same))

	made := w.deployments()[w.nameOf("v1")]
	made.Status.Conditions = []appsv1.DeploymentCondition{{
		Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "exceeded quota: agents",
	}}
	w.must(w.client.Status().Update(t.Context(), &made))

	answer, err := run.look(t.Context())
	if err != nil || len(answer.GetStatuses()) != 1 || !strings.Contains(answer.GetStatuses()[0].GetProblem(), "exceeded quota") {
		t.Errorf("told: %v, %v", answer, err)
	}

	if reason := reasonOfProblem("process of x: " + answer.GetStatuses()[0].GetProblem()); reason != v1alpha1.ReasonQuota {
		t.Errorf("reason: %s", reason)
	}
}

// TestSlotsAreLabels: hand-written subsets select pods by their version.
func TestSlotsAreLabels(t *testing.T) {
	w := newWorld(t, object("billing", "v1"))
	run := newWorkloads(w.config("one"))
	wanted := w.wants("v1", map[string]int32{"v1": 0}, same)
	wanted.GetRevisions()[0].Slot = istio.CanarySlot
	w.apply(run, wanted)

	made := w.deployments()[w.nameOf("v1")]
	if labels := made.Spec.Template.Labels; labels["version"] != "canary" || labels[istio.RevisionLabel] == "canary" {
		t.Errorf("labels: %v", labels)
	}

	if _, selects := made.Spec.Selector.MatchLabels["version"]; selects {
		t.Error("a Deployment must not select its pods by a label that changes")
	}
}
