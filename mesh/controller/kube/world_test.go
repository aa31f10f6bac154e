package kube

import (
	"log/slog"
	"strings"
	"testing"

	security "istio.io/client-go/pkg/apis/security/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/api/v1alpha1"
)

const testNamespace = "shop"

// world is a cluster of paper.
type world struct {
	*testing.T

	client client.Client
	events *events.FakeRecorder
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()

	return worldOf(t, func(*fake.ClientBuilder) {}, objects...)
}

func worldOf(t *testing.T, edit func(*fake.ClientBuilder), objects ...client.Object) *world {
	t.Helper()

	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}

	if err := security.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}

	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}

	w := &world{T: t, events: events.NewFakeRecorder(1000)}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.Agent{}).
		WithReturnManagedFields()
	edit(builder)
	w.client = builder.Build()

	return w
}

// config is what a process of that name works with.
func (w *world) config(holder string) *Config {
	return &Config{
		Client: w.client, Reader: w.client, Namespace: testNamespace, TrustDomain: "cluster.local",
		Holder: holder, Pods: paperPods{}, Recorder: w.events,
		Logger: slog.New(slog.DiscardHandler),
		Catalogue: func(request *workloadv1.ApplyRequest) (string, error) {
			names := append([]string{}, request.GetToolServers()...)
			for _, one := range request.GetAgents() {
				names = append(names, one.GetName())
			}

			return strings.Join(names, ","), nil
		},
	}
}

// object is an Agent as someone applies it.
func object(name, prompt string, edits ...func(*v1alpha1.Agent)) *v1alpha1.Agent {
	agent := &v1alpha1.Agent{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: agentspec.KindAgent},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: testNamespace, Name: name, Generation: 1, UID: types.UID(name),
			Annotations: map[string]string{"kubectl.kubernetes.io/last-applied-configuration": prompt},
		},
		Spec: agentspec.AgentSpec{Description: name + " answers.", Prompt: agentspec.Prompt{Inline: prompt}},
	}
	for _, edit := range edits {
		edit(agent)
	}

	return agent
}

// paperPods runs nothing.
type paperPods struct{}

func (paperPods) Files(agent, revision string) (map[string]string, error) {
	return map[string]string{"process.json": agent + " " + revision}, nil
}

func (paperPods) Template(agent agentspec.Agent, _ string) (corev1.PodTemplateSpec, error) {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "ambassador", Image: "serin"}},
		Containers:     []corev1.Container{{Name: "agent", Image: "serin"}}, Hostname: agent.Metadata.Name,
	}}, nil
}

func (w *world) must(err error) {
	w.Helper()

	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) get(name string) *v1alpha1.Agent {
	w.Helper()

	found := &v1alpha1.Agent{}
	w.must(w.client.Get(w.Context(), client.ObjectKey{Namespace: testNamespace, Name: name}, found))

	return found
}
