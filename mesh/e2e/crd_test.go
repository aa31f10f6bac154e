package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/mesh/e2e/cluster"
	"github.com/serinhq/serin/mesh/e2e/install"
)

// strict has the API server refuse unknown fields, as kubectl asks it to.
var strict = &client.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}

// TestTheAPIServerRefuses creates what the unit tests of the CRDs create, and wants the very words that they want.
func TestTheAPIServerRefuses(t *testing.T) {
	serin(t)

	archives, err := filepath.Glob("../api/v1alpha1/testdata/refusals/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives", err)
	}

	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}

			_, files, _ := strings.Cut(string(archive), "-- object.yaml --\n")
			object, want, _ := strings.Cut(files, "-- want --\n")

			wantRefused(t, parsed(t, object)[0], strings.Split(strings.TrimSpace(want), "\n"))
		})
	}
}

// wantRefused creates an object that is refused for exactly what the lines say, each a field and words.
func wantRefused(t *testing.T, object *unstructured.Unstructured, lines []string) {
	t.Helper()

	err := shared.Client.Create(t.Context(), object, strict)

	refused := &apierrors.StatusError{}
	if !errors.As(err, &refused) {
		t.Fatalf("it must be refused: %v", err)
	}

	got := []string{}
	if details := refused.ErrStatus.Details; details != nil {
		for _, cause := range details.Causes {
			if cause.Field != "<nil>" { // that one only says that there may be more
				got = append(got, cause.Field+": "+cause.Message)
			}
		}
	}

	for _, line := range lines {
		field, words, _ := strings.Cut(line, ": ")

		if words == "unknown field" { // these are refused before all else, without causes
			if !strings.Contains(err.Error(), fmt.Sprintf("unknown field %q", field)) {
				t.Errorf("%s is not called unknown: %v", field, err)
			}

			continue
		}

		said := slices.IndexFunc(got, func(cause string) bool {
			return strings.HasPrefix(cause, field+": ") && strings.HasSuffix(cause, words)
		})
		if said < 0 {
			t.Errorf("want %q, got\n%s", line, strings.Join(got, "\n"))

			continue
		}

		got = slices.Delete(got, said, said+1)
	}

	if len(got) > 0 {
		t.Errorf("it is refused also for\n%s", strings.Join(got, "\n"))
	}
}

func parsed(t *testing.T, documents string) []*unstructured.Unstructured {
	t.Helper()

	objects, err := cluster.Parse(documents)
	if err != nil || len(objects) == 0 {
		t.Fatal("no objects", err)
	}

	for _, object := range objects {
		object.SetNamespace(install.Namespace)
	}

	return objects
}

// TestTheAPIServerTakes creates the example agents and the fullest one: what one machine runs is taken as it is.
func TestTheAPIServerTakes(t *testing.T) {
	serin(t)

	files, err := filepath.Glob("../../deploy/local/agents/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples", err)
	}

	for _, path := range append(files, "../../internal/agentspec/testdata/full.yaml") {
		documents, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}

		for _, object := range parsed(t, string(documents)) {
			object.SetName("taken-" + object.GetName()) // the agents themselves are there

			if err := shared.Client.Create(t.Context(), object, strict); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

const smallAgent = `
apiVersion: serin.dev/v1alpha1
kind: Agent
metadata: {name: small}
spec:
  description: Says hello.
  prompt: {inline: Say hello.}
  handoffs: [{agent: billing, when: They speak of money.}]
`

// TestDefaultsAreFilledIn wants to see what an agent that says little comes to.
func TestDefaultsAreFilledIn(t *testing.T) {
	serin(t)

	small := parsed(t, smallAgent)[0]
	if err := shared.Client.Create(t.Context(), small, strict); err != nil {
		t.Fatal(err)
	}

	for path, want := range map[string]any{
		"model.name": "default", "model.maxOutputTokens": int64(1024), "budgets.steps": int64(16), "budgets.hops": int64(8),
		"budgets.deadline": "2m", "rollout.promotion": "manual", "rollout.pause": "10m", "scaling.minReplicas": int64(2),
	} {
		got, _, err := unstructured.NestedFieldNoCopy(small.Object, append([]string{"spec"}, strings.Split(path, ".")...)...)
		if err != nil || got != want {
			t.Errorf("spec.%s is %v, want %v: %v", path, got, want, err)
		}
	}

	handoffs, _, _ := unstructured.NestedSlice(small.Object, "spec", "handoffs")
	if history := handoffs[0].(map[string]any)["history"]; history != "full" {
		t.Errorf("spec.handoffs[0].history is %v, want full", history)
	}
}

// TestEveryFieldIsExplained reads what `kubectl explain` reads.
func TestEveryFieldIsExplained(t *testing.T) {
	p := serin(t)

	var published struct {
		Components struct {
			Schemas map[string]map[string]any `json:"schemas"`
		} `json:"components"`
	}

	p.must(json.Unmarshal(p.raw("/openapi/v3/apis/serin.dev/v1alpha1", "application/json"), &published))

	for _, kind := range []string{"Agent", "MCPServer"} {
		schema := published.Components.Schemas["dev.serin.v1alpha1."+kind]
		if explained(t, kind, schema) < 10 {
			t.Errorf("%s has hardly any fields: %v", kind, schema)
		}
	}
}

// explained wants that each field below a schema has a description, and returns how many there are.
func explained(t *testing.T, path string, schema map[string]any) (fields int) {
	t.Helper()

	properties, _ := schema["properties"].(map[string]any)
	for name, property := range properties {
		inner, _ := property.(map[string]any)

		if text, _ := inner["description"].(string); text == "" && inner["allOf"] == nil {
			t.Errorf("%s.%s has no description", path, name)
		}

		fields += 1 + explained(t, path+"."+name, inner)
	}

	for _, one := range []string{"items", "additionalProperties"} {
		if inner, has := schema[one].(map[string]any); has {
			fields += explained(t, path+"[]", inner)
		}
	}

	return fields
}

// raw asks the API server for a path.
func (p *platform) raw(path, accept string) []byte {
	p.Helper()

	answer, err := shared.Kubernetes.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", accept).DoRaw(p.Context())
	p.must(err)

	return answer
}

// TestAgentsHaveAShortName wants what kubectl finds out before it asks.
func TestAgentsHaveAShortName(t *testing.T) {
	p := serin(t)

	found, err := shared.Kubernetes.Discovery().ServerResourcesForGroupVersion("serin.dev/v1alpha1")
	p.must(err)

	names := map[string]metav1.APIResource{}
	for _, one := range found.APIResources {
		names[one.Name] = one
	}

	agents := names["agents"]
	if !slices.Contains(agents.ShortNames, "ag") || !slices.Contains(agents.Categories, "serin") || !agents.Namespaced {
		t.Errorf("agents are %+v", agents)
	}

	if _, has := names["agents/status"]; !has {
		t.Errorf("agents have no status of their own: %v", found.APIResources)
	}
}

// TestStatusIsTheControllers wants that who may write an Agent can't write what became of it, and the other way around.
func TestStatusIsTheControllers(t *testing.T) {
	p := serin(t)
	before := p.agent("billing")

	edit := client.RawPatch(types.MergePatchType, []byte(`{"spec": {"description": "x"}, "status": {"phase": "x"}}`))

	object := before.DeepCopy()
	p.must(shared.Client.Patch(t.Context(), object, edit, client.DryRunAll))
	wantField(t, object, "x", "spec", "description")
	wantField(t, object, field(before, "status", "phase"), "status", "phase")

	object = before.DeepCopy()
	p.must(shared.Client.Status().Patch(t.Context(), object, edit, client.DryRunAll))
	wantField(t, object, field(before, "spec", "description"), "spec", "description")
	wantField(t, object, "x", "status", "phase")
}

func wantField(t *testing.T, object *unstructured.Unstructured, want string, path ...string) {
	t.Helper()

	if got := field(object, path...); got != want {
		t.Errorf("%s is %q, want %q", strings.Join(path, "."), got, want)
	}
}

// field returns a text; empty if there is none.
func field(object *unstructured.Unstructured, path ...string) string {
	text, _, _ := unstructured.NestedString(object.Object, path...)

	return text
}
