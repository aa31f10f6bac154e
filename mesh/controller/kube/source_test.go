package kube

import (
	"context"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/api/v1alpha1"
	"github.com/serinhq/serin/mesh/controller"
)

func (w *world) source() *Source { return &Source{client: w.client, namespace: testNamespace} }

func (w *world) read(source *Source) *controller.Declarations {
	w.Helper()

	read, err := source.Read(w.Context())
	w.must(err)

	return read
}

func names(read *controller.Declarations) []string {
	all := []string{}
	for _, agent := range read.Agents {
		all = append(all, agent.Metadata.Name)
	}

	return all
}

// TestSourceTakesEachAgentByItself leaves out what is wrong, and nothing else.
func TestSourceTakesEachAgentByItself(t *testing.T) {
	handsTo := func(name string) func(*v1alpha1.Agent) {
		return func(a *v1alpha1.Agent) { a.Spec.Handoffs = []agentspec.Handoff{{Agent: name}} }
	}
	entry := func(a *v1alpha1.Agent) { a.Spec.Entry = true }
	later := func(a *v1alpha1.Agent) { a.CreationTimestamp = metav1.Unix(1_800_000_000, 0) }
	w := newWorld(t,
		object("billing", "v1"), object("triage", "v1", handsTo("billing"), entry),
		object("lost", "v1", handsTo("nobody")),
		object("second", "v1", entry, later),
		object("tooled", "v1", func(a *v1alpha1.Agent) { a.Spec.Tools = []agentspec.Tool{{Name: "crm_find"}} }),
		object("mapped", "", func(a *v1alpha1.Agent) {
			a.Spec.Prompt.ConfigMapKeyRef = &agentspec.ConfigMapKeyRef{Name: "prompts", Key: "mapped"}
			a.Spec.Prompt.Digest = "sha256:" + strings.Repeat("0", 64)
		}),
		object("podded", "v1", func(a *v1alpha1.Agent) { a.Spec.Pod.Spec = agentspec.Object(`{"containrs":[]}`) }),
		object("doubled", "v1", func(a *v1alpha1.Agent) {
			a.Spec.Pod.Spec = agentspec.Object(`{"containers":[{"name":"ambassador","env":[]}]}`)
		}),
	)

	read := w.read(w.source())
	if got := names(read); !slices.Equal(got, []string{"billing", "triage"}) {
		t.Errorf("taken: %v", got)
	}

	for agent, words := range map[string]string{
		"lost": `no agent "nobody"`, "second": "triage has it already", "tooled": `no MCPServer "crm"`,
		"mapped": `no ConfigMap "prompts"`, "podded": "containrs", "doubled": "spec.pod.spec.containers[0].name",
	} {
		if problems := read.Invalid[agent]; !strings.Contains(problems.Error(), words) {
			t.Errorf("%s: %v, want %q", agent, problems, words)
		}
	}

	for _, agent := range read.Agents {
		if len(agent.Metadata.Annotations) > 0 {
			t.Errorf("%s: annotations of tools are declared: %v", agent.Metadata.Name, agent.Metadata.Annotations)
		}

		for _, handoff := range agent.Spec.Handoffs {
			if handoff.When != "billing answers." {
				t.Errorf("the handoff to billing is described as %q", handoff.When)
			}
		}
	}
}

// TestSourceTellsNews and nothing that is none.
func TestSourceTellsNews(t *testing.T) {
	w := newWorld(t, object("billing", "v1"))
	source := w.source()

	if read := w.read(source); read == nil || len(read.Agents) != 1 {
		t.Fatalf("read: %+v", read)
	}

	if read := w.read(source); read != nil {
		t.Fatalf("the same again: %+v", read)
	}

	changed := func(edit func(*v1alpha1.Agent)) *controller.Declarations {
		t.Helper()

		agent := w.get("billing")
		edit(agent)
		w.must(w.client.Update(t.Context(), agent))

		return w.read(source)
	}

	if read := changed(func(a *v1alpha1.Agent) { a.Annotations["someone.else/touched"] = "now" }); read != nil {
		t.Errorf("a tool's annotation is news: %+v", read)
	}

	if read := changed(func(a *v1alpha1.Agent) { a.Annotations["serin.dev/adopt"] = "true" }); read == nil ||
		read.Agents[0].Metadata.Annotations["serin.dev/adopt"] != "true" {
		t.Errorf("to adopt is no news: %+v", read)
	}

	if read := changed(func(a *v1alpha1.Agent) { a.Spec.Prompt.Inline, a.Generation = "v2", 2 }); read == nil ||
		read.Agents[0].Spec.Prompt.Inline != "v2" || source.Observed("billing") != 2 {
		t.Errorf("another prompt is no news: %+v", read)
	}

	source.Forget()

	if read := w.read(source); read == nil {
		t.Error("what was forgotten is not read again")
	}
}

// TestADeletedAgentIsObserved though it is not declared any more: its status says of which generation it is.
func TestADeletedAgentIsObserved(t *testing.T) {
	w := newWorld(t, object("billing", "v1"))
	source := w.source()

	agent := w.get("billing")
	agent.Finalizers, agent.Generation = []string{Finalizer}, 7
	w.must(w.client.Update(t.Context(), agent))
	w.must(w.client.Delete(t.Context(), agent))

	if read := w.read(source); read == nil || len(read.Agents) != 0 || source.Observed("billing") != 7 {
		t.Errorf("read: %+v, observed generation %d, want none of generation 7", read, source.Observed("billing"))
	}
}

// shuffled lists in the opposite order every other time.
type shuffled struct {
	client.Reader

	lists int
}

func (s *shuffled) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	err := s.Reader.List(ctx, list, options...)
	s.lists++

	if found, ok := list.(*v1alpha1.MCPServerList); ok && s.lists/2%2 == 0 {
		slices.Reverse(found.Items)
	}

	if found, ok := list.(*v1alpha1.AgentList); ok && s.lists/2%2 == 0 {
		slices.Reverse(found.Items)
	}

	return err
}

// TestTheOrderOfAListIsNoNews: a cache has none.
func TestTheOrderOfAListIsNoNews(t *testing.T) {
	server := func(name string) *v1alpha1.MCPServer {
		return &v1alpha1.MCPServer{
			ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: name, UID: types.UID(name)},
			Spec:       agentspec.MCPServerSpec{Command: []string{name}},
		}
	}
	w := newWorld(t, object("billing", "v1"), object("triage", "v1"), server("crm"), server("erp"))
	source := &Source{client: &shuffled{Reader: w.client}, namespace: testNamespace}

	if read := w.read(source); len(read.Servers) != 2 || len(read.Agents) != 2 {
		t.Fatalf("read: %+v", read)
	}

	for range 4 {
		if read := w.read(source); read != nil {
			t.Errorf("news: %+v", read)
		}
	}
}

// TestSourceReadsPromptsOfConfigMaps, also those that come later.
func TestSourceReadsPromptsOfConfigMaps(t *testing.T) {
	w := newWorld(t, object("billing", "", func(a *v1alpha1.Agent) {
		a.Spec.Prompt.ConfigMapKeyRef = &agentspec.ConfigMapKeyRef{Name: "prompts", Key: "billing"}
	}))
	source := w.source()

	if read := w.read(source); len(read.Agents) != 0 {
		t.Fatalf("read without a prompt: %+v", read)
	}

	prompts := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "prompts"}, Data: map[string]string{"billing": "You answer."},
	}
	w.must(w.client.Create(t.Context(), prompts))

	digest := w.get("billing")
	digest.Spec.Prompt.Digest = "sha256:df74ea39dcf1a4d2cd9fb9df22ae0ad5cc61ae0fe0c5f7dbbf9b1ee9b7e6cf23"
	digest.Generation = 2
	w.must(w.client.Update(t.Context(), digest))

	read := w.read(source)
	if problems := read.Invalid["billing"]; len(problems) == 0 || problems[0].Field != "spec.prompt.digest" {
		t.Fatalf("a wrong digest: %v", read.Invalid)
	}

	_, right, _ := strings.Cut(read.Invalid["billing"][0].Message, "the prompt's is ")
	digest = w.get("billing")
	digest.Spec.Prompt.Digest, digest.Generation = right, 3
	w.must(w.client.Update(t.Context(), digest))

	if read := w.read(source); len(read.Agents) != 1 || read.Agents[0].Spec.Prompt.Inline != "You answer." {
		t.Errorf("read: %+v", read)
	}
}

// TestSourceLeavesOutWhatIsBeingDeleted.
func TestSourceLeavesOutWhatIsBeingDeleted(t *testing.T) {
	w := newWorld(t, object("billing", "v1", func(a *v1alpha1.Agent) { a.Finalizers = []string{Finalizer} }))
	w.must(w.client.Delete(t.Context(), w.get("billing")))

	if read := w.read(w.source()); len(read.Agents) != 0 || len(read.Invalid) != 0 {
		t.Errorf("read: %+v", read)
	}
}
