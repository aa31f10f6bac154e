package v1alpha1

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/serinhq/serin/internal/agentspec"
)

// TestFilesRunInAClusterToo: what `serin up` takes, an API server takes, and the types here hold all of it.
func TestFilesRunInAClusterToo(t *testing.T) {
	kinds := map[string]*crd{"Agent": loadCRD(t, "agents"), "MCPServer": loadCRD(t, "mcpservers")}
	files := []string{"../../../internal/agentspec/testdata/full.yaml", "../../../internal/agentspec/testdata/revisions/written-out.yaml"}

	examples, err := filepath.Glob("../../../deploy/local/agents/*.yaml")
	if err != nil {
		t.Fatal(err)
	}

	checked := 0

	for _, path := range slices.Concat(files, examples) {
		for _, document := range documents(t, path) {
			checked++
			kind := document["kind"].(string)

			if problems := kinds[kind].create(t.Context(), document); len(problems) > 0 {
				t.Errorf("%s: %v", path, problems.ToAggregate())
			}

			strictly(t, kind, document)
		}
	}

	if checked < 10 {
		t.Errorf("only %d objects", checked)
	}
}

// strictly decodes an object into the type of its kind, and expects that nothing is lost.
func strictly(t *testing.T, kind string, document map[string]any) {
	t.Helper()

	data, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}

	var typed any = &Agent{}
	if kind == "MCPServer" {
		typed = &MCPServer{}
	}

	if err := yaml.UnmarshalStrict(data, typed); err != nil {
		t.Fatal(err)
	}

	written, err := json.Marshal(typed)
	if err != nil {
		t.Fatal(err)
	}

	// The durations of a file may be written in another way than Go's.
	if diff := cmp.Diff(filled(object(t, data)), filled(object(t, written)), cmp.Comparer(sameText)); diff != "" {
		t.Errorf("%s (-file +type):\n%s", kind, diff)
	}
}

// filled leaves out what is empty: types do not write it.
func filled(object map[string]any) map[string]any {
	kept := map[string]any{}

	for name, value := range object {
		switch inner := value.(type) {
		case map[string]any:
			if inner = filled(inner); len(inner) > 0 {
				kept[name] = inner
			}
		case []any:
			if len(inner) > 0 {
				kept[name] = inner
			}
		default:
			kept[name] = value
		}
	}

	return kept
}

func sameText(a, b string) bool {
	var left, right agentspec.Duration

	err1, err2 := json.Unmarshal([]byte(`"`+a+`"`), &left), json.Unmarshal([]byte(`"`+b+`"`), &right)

	return a == b || err1 == nil && err2 == nil && left == right
}

// TestDefaultsAreTheSame: an agent that went through a cluster is the same revision.
func TestDefaultsAreTheSame(t *testing.T) {
	agents := loadCRD(t, "agents")
	text := []byte("{apiVersion: serin.dev/v1alpha1, kind: Agent, metadata: {name: a}, spec: {description: d, " +
		"prompt: {inline: p}, tools: [{name: clock}], handoffs: [{agent: b, when: w}]}}")
	here, there := &Agent{}, &Agent{}

	if err := yaml.UnmarshalStrict(text, here); err != nil {
		t.Fatal(err)
	}

	created := object(t, text)
	if problems := agents.create(t.Context(), created); len(problems) > 0 {
		t.Fatal(problems.ToAggregate())
	}

	data, err := json.Marshal(created)
	if err != nil {
		t.Fatal(err)
	}

	if err := yaml.UnmarshalStrict(data, there); err != nil {
		t.Fatal(err)
	}

	local, cluster := FromObject(here), FromObject(there)
	if agentspec.Revision(local) != agentspec.Revision(cluster) {
		t.Error("the revision is another one")
	}

	agentspec.Default(&local)

	if diff := cmp.Diff(local, cluster); diff != "" {
		t.Errorf("defaults differ (-agentspec +CRD):\n%s", diff)
	}
}
