package v1alpha1

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/serinhq/serin/internal/agentspec"
)

func TestScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}

	for _, kind := range []string{"Agent", "AgentList", "MCPServer", "MCPServerList"} {
		if object, err := scheme.New(GroupVersion.WithKind(kind)); err != nil || object == nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestThereAndBack: what a file declares becomes an object that an API server takes, and the same declaration again.
func TestThereAndBack(t *testing.T) {
	folder, err := agentspec.Load("../../../internal/agentspec/testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}

	for _, agent := range folder.Agents {
		created := ToObject(&agent)

		data, err := yaml.Marshal(created)
		if err != nil || strings.Contains(string(data), "status") || strings.Contains(string(data), "null") {
			t.Errorf("%v, for kubectl apply:\n%s", err, data)
		}

		if problems := loadCRD(t, "agents").create(t.Context(), object(t, data)); len(problems) > 0 {
			t.Error(problems.ToAggregate())
		}

		back := FromObject(created)
		back.Metadata.Annotations = agent.Metadata.Annotations // which a cluster has for tools

		if diff := cmp.Diff(agent, back); diff != "" {
			t.Error(diff)
		}
	}

	server := folder.Servers[0]
	if diff := cmp.Diff(server, FromServerObject(ToServerObject(&server))); diff != "" {
		t.Error(diff)
	}
}

// TestConversionsShareNothing, since informers' objects must not be changed.
func TestConversionsShareNothing(t *testing.T) {
	object := &Agent{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}}}
	object.Spec.Tools = []agentspec.Tool{{Name: "clock"}}
	object.Spec.Pod.Spec = agentspec.Object(`{"a":1}`)
	before := object.DeepCopy()

	agent := FromObject(object)
	agent.Metadata.Labels["a"], agent.Spec.Tools[0].Name, agent.Spec.Pod.Spec[0] = "c", "other", 'x'

	if diff := cmp.Diff(before, object); diff != "" {
		t.Error(diff)
	}
}

// TestStatus: a status that the controller writes is taken, keeps its record, and fills the columns.
func TestStatus(t *testing.T) {
	weight, step := int32(0), int32(0)
	agent := ToObject(&agentspec.Agent{
		Metadata: agentspec.Metadata{Name: "a"}, Spec: agentspec.AgentSpec{Description: "d", Prompt: agentspec.Prompt{Inline: "p"}},
	})
	agent.Status = AgentStatus{
		ObservedGeneration: 3, Phase: "Preparing", Stable: "0123456789ab", Candidate: "ba9876543210", Weight: &weight, Step: &step,
		Attempt: 2, Reason: "waits for 1 of 2 pods", LastTransition: &metav1.Time{Time: time.Unix(1, 0).UTC()},
		Rejected: []RejectedRevision{{Revision: "aaaaaaaaaaaa", Reason: "aborted"}},
		Replicas: []RevisionReplicas{{Revision: "0123456789ab", Role: RoleStable, Replicas: 2, Ready: 2}},
		Record:   &runtime.RawExtension{Raw: []byte(`{"state":{"attempt":2,"rejected":{"aaaaaaaaaaaa":1}}}`)},
	}
	meta.SetStatusCondition(&agent.Status.Conditions, metav1.Condition{
		Type: ConditionReady, Status: metav1.ConditionTrue, Reason: ReasonServing, Message: "2 of 2 pods are ready",
	})

	data, err := json.Marshal(agent)
	if err != nil {
		t.Fatal(err)
	}

	agents := loadCRD(t, "agents")
	written := object(t, data)

	if problems := agents.create(t.Context(), written); len(problems) > 0 {
		t.Fatal(problems.ToAggregate())
	}

	status := written["status"].(map[string]any)
	if record := status["record"].(map[string]any); record["state"].(map[string]any)["attempt"] != int64(2) {
		t.Errorf("record %v", record)
	}

	shown := []string{}
	for _, column := range agents.definition.Spec.Versions[0].AdditionalPrinterColumns {
		shown = append(shown, column.Name)

		name, ok := strings.CutPrefix(column.JSONPath, ".status.")
		if _, there := status[name]; ok && !there && column.Priority == 0 {
			t.Errorf("the status has nothing for column %s", column.Name)
		}
	}

	if diff := cmp.Diff([]string{"STABLE", "CANARY", "WEIGHT", "PHASE", "READY", "REASON", "AGE"}, shown); diff != "" {
		t.Error(diff)
	}
}

func TestPodTemplate(t *testing.T) {
	pod := agentspec.Pod{
		Metadata: agentspec.PodMetadata{Labels: map[string]string{"tier": "care"}},
		Spec:     agentspec.Object(`{"containers":[{"name":"agent","image":"x"}],"nodeSelector":{"disk":"fast"}}`),
	}

	template, err := PodTemplate(&pod)
	if err != nil {
		t.Fatal(err)
	}

	want := &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"tier": "care"}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "agent", Image: "x"}}, NodeSelector: map[string]string{"disk": "fast"},
		},
	}
	if diff := cmp.Diff(want, template); diff != "" {
		t.Error(diff)
	}

	if template, err := PodTemplate(&agentspec.Pod{}); err != nil || !cmp.Equal(template, &corev1.PodTemplateSpec{}) {
		t.Errorf("nothing: %v, %v", template, err)
	}
}

func TestPodTemplateRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"containers":[{"name":"a","imag":"x"}],"tolerance":[]}`: "spec.pod.spec.containers[0].imag: unknown field of a pod in Kubernetes\n" +
			"spec.pod.spec.tolerance: unknown field of a pod in Kubernetes",
		`{"containers":{"name":"a"}}`:                              "spec.pod.spec: cannot unmarshal object into Go struct field PodSpec.containers of type []v1.Container",
		`{"Containers":[]}`:                                        "spec.pod.spec.Containers: unknown field of a pod in Kubernetes",
		`{"containers":[{"name":"a"},{"name":"ambassador"}]}`:      `spec.pod.spec.containers[1].name: "ambassador" is a sidecar`,
		`{"containers":[{"name":"load-config"}]}`:                  `spec.pod.spec.containers[0].name: "load-config" is an init container`,
		`{"terminationGracePeriodSeconds":"soon"}`:                 "spec.pod.spec: cannot unmarshal string into",
		`{"containers":[{"resources":{"limits":{"cpu":"lots"}}}]}`: "spec.pod.spec: ",
	} {
		_, err := PodTemplate(&agentspec.Pod{Spec: agentspec.Object(text)})

		var problems agentspec.Problems
		if !errors.As(err, &problems) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
