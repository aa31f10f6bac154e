package agentspec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestRevisionGoldens compares revisions with fixed ones. They must survive every release: a revision that moves by
// itself starts a rollout of every agent of every user. If this test fails, the code is wrong, not the golden file, and
// so nothing rewrites that; new cases are added by hand, and no line that is there may change.
func TestRevisionGoldens(t *testing.T) {
	set, err := Load("testdata/revisions")
	if err != nil {
		t.Fatal(err)
	}

	got := &strings.Builder{}
	for _, agent := range set.Agents {
		fmt.Fprintf(got, "%s %s\n%s\n\n", agent.Metadata.Name, Revision(agent), revisionForm(agent))
	}

	want, err := os.ReadFile("testdata/revisions.golden")
	if err != nil {
		t.Fatal(err)
	}

	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("revisions moved (-want +got):\n%s", diff)
	}
}

// TestEveryFieldIsDecided makes sure that whoever adds a field says whether it is behaviour.
func TestEveryFieldIsDecided(t *testing.T) {
	spec := reflect.TypeFor[AgentSpec]()
	for field := range spec.Fields() {
		if tag := field.Tag.Get("revision"); tag != "yes" && tag != "no" {
			t.Errorf("AgentSpec.%s: the tag revision must be yes or no", field.Name)
		}
	}
}

// fullAgent has every field set to something that is not its default, so that a walk over it meets them all.
func fullAgent(t testing.TB) Agent {
	t.Helper()

	set, err := Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}

	agent, ok := set.Agent("full")
	if !ok {
		t.Fatal("no agent full")
	}

	// What a resolved agent does not have, and is behaviour all the same where it is there.
	agent.Spec.Prompt.File, agent.Spec.Prompt.Digest = "prompt.md", "sha256:0"
	agent.Spec.Prompt.ConfigMapKeyRef = &ConfigMapKeyRef{Name: "prompts", Key: "full.md"}

	agent.Spec.Retriever.Documents[0].Folder, agent.Spec.Retriever.Documents[0].ConfigMap = "handbook", "handbook"

	return agent
}

// TestEveryBehaviourChangesTheRevision changes each field of an agent, one at a time, down to the last number.
func TestEveryBehaviourChangesTheRevision(t *testing.T) {
	base := Revision(fullAgent(t))

	walk(t, reflect.TypeFor[Agent](), func(path string, revision bool, change func(*Agent)) {
		agent := fullAgent(t)
		change(&agent)

		revision = revision || path == "metadata.name" // the name is identity

		if changed := Revision(agent) != base; changed != revision {
			t.Errorf("a change of %s: revision changed: %v, want %v", path, changed, revision)
		}
	})
}

// walk visits every leaf of an agent with a function that changes it.
func walk(t *testing.T, of reflect.Type, visit func(path string, revision bool, change func(*Agent))) {
	t.Helper()

	var into func(path string, revision bool, get func(*Agent) reflect.Value)

	sample := fullAgent(t)

	into = func(path string, revision bool, get func(*Agent) reflect.Value) {
		value := get(&sample)
		if value.IsZero() && path != "spec.handoffs[1].lastN" && !strings.HasPrefix(path, "spec.guardrails") {
			t.Errorf("%s is not set in testdata/full.yaml; set it to something that is not its default", path)
		}

		switch kind := value.Kind(); {
		case value.Type() == objectType:
			visit(path, revision, func(a *Agent) { get(a).SetBytes([]byte(`{"other":1}`)) })
		case kind == reflect.Struct:
			for _, f := range fieldsOf(value.Type()) {
				inner := revision
				if tag := f.tag.Get("revision"); tag != "" {
					inner = tag == "yes"
				}

				into(join(path, f.name), inner, func(a *Agent) reflect.Value { return get(a).Field(f.index) })
			}
		case kind == reflect.Slice:
			for i := range value.Len() {
				into(at(path, i), revision, func(a *Agent) reflect.Value { return get(a).Index(i) })
			}

			visit(path+" (other length)", revision, func(a *Agent) { resize(get(a)) })
		case kind == reflect.Pointer && value.IsNil(): // a guardrail's classifier: it has one with topics only
		case kind == reflect.Pointer:
			into(path, revision, func(a *Agent) reflect.Value { return get(a).Elem() })
			visit(path+" (none)", revision, func(a *Agent) { get(a).SetZero() })
		default:
			visit(path, revision, func(a *Agent) { alter(get(a)) })
		}
	}

	into("", false, func(a *Agent) reflect.Value { return reflect.ValueOf(a).Elem() })
}

// resize takes the first entry of a list away, or gives an empty list one.
func resize(list reflect.Value) {
	if list.Len() > 0 {
		list.Set(list.Slice(1, list.Len()))
	} else {
		list.Set(reflect.MakeSlice(list.Type(), 1, 1))
	}
}

// alter changes a leaf to something else that is no default.
func alter(value reflect.Value) {
	switch value.Kind() {
	case reflect.String:
		value.SetString(value.String() + "9")
	case reflect.Bool:
		value.SetBool(!value.Bool())
	case reflect.Float64:
		value.SetFloat(value.Float() + 0.125)
	case reflect.Map:
		value.Set(reflect.ValueOf(map[string]string{"other": "value"}))
	default:
		value.SetInt(value.Int() + 3)
	}
}

// TestDefaultsAndOrderDoNotMatter writes agents in two ways: keys in any order, with and without their defaults, and
// loads both.
func TestDefaultsAndOrderDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		agent := drawAgent(t)

		full := agent.clone()
		Default(&full)

		sparse := loadOne(t, shuffled(t, toTree(t, agent)))
		written := loadOne(t, shuffled(t, toTree(t, full)))

		if a, b := Revision(sparse), Revision(written); a != b {
			t.Fatalf("with defaults left out %s, written out %s\n%s\n%s", a, b, revisionForm(sparse), revisionForm(written))
		}

		if diff := cmp.Diff(sparse, written); diff != "" {
			t.Fatalf("the loaded agents differ:\n%s", diff)
		}

		data, err := MarshalResolved(sparse)
		if err != nil {
			t.Fatal(err)
		}

		again, err := UnmarshalResolved(data)
		if err != nil {
			t.Fatal(err)
		}

		if diff := cmp.Diff(sparse, again); diff != "" {
			t.Fatalf("resolved and read again:\n%s", diff)
		}
	})
}

// TestRevisionChangesNothing: revisions are asked for in the middle of other things.
func TestRevisionChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		agent := drawAgent(t)
		before := agent.clone()
		_ = Revision(agent)

		if diff := cmp.Diff(before, agent); diff != "" {
			t.Fatal(diff)
		}
	})
}

func toTree(t *rapid.T, agent Agent) any {
	data, err := json.Marshal(agent)
	if err != nil {
		t.Fatal(err)
	}

	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()

	var branch any
	if err := decoder.Decode(&branch); err != nil {
		t.Fatal(err)
	}

	return branch
}

// shuffled writes JSON, which is YAML, with keys in any order.
func shuffled(t *rapid.T, branch any) string {
	switch branch := branch.(type) {
	case map[string]any:
		names := []string{}
		for name := range branch {
			names = append(names, name)
		}

		parts := []string{}
		for _, name := range rapid.Permutation(slices.Sorted(slices.Values(names))).Draw(t, "order") {
			parts = append(parts, mustText(name)+": "+shuffled(t, branch[name]))
		}

		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		parts := []string{}
		for _, item := range branch {
			parts = append(parts, shuffled(t, item))
		}

		return "[" + strings.Join(parts, ", ") + "]"
	default:
		return mustText(branch)
	}
}

func mustText(value any) string {
	data, err := json.Marshal(value)
	must(err)

	return string(data)
}

func loadOne(t *rapid.T, text string) Agent {
	set, err := LoadFS(fstest.MapFS{"agent.yaml": {Data: []byte(text + "\n---\n" + oneServer)}}, "")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}

	return set.Agents[0]
}

const oneServer = `{apiVersion: serin.dev/v1alpha1, kind: MCPServer, metadata: {name: shop}, spec: {command: [shop]}}`

// drawAgent makes a valid agent that refers to no other agent.
func drawAgent(t *rapid.T) Agent {
	agent := Agent{APIVersion: APIVersion, Kind: KindAgent}
	agent.Metadata.Name = rapid.StringMatching(`[a-z]([a-z0-9-]{0,10}[a-z0-9])?`).
		Filter(func(s string) bool { return check("name", s) == "" }).Draw(t, "name")
	spec := &agent.Spec
	spec.Entry = true
	text := rapid.StringMatching(`[ -~äß漢\n]{0,20}[!-~]`)
	spec.Description = text.Draw(t, "description")
	spec.Prompt.Inline = text.Draw(t, "prompt")
	spec.Model.Name = rapid.SampledFrom([]string{"", "default", "gpt-5"}).Draw(t, "model")
	spec.Model.Temperature = rapid.Ptr(rapid.Float64Range(0, 2), true).Draw(t, "temperature")
	spec.Model.MaxOutputTokens = rapid.SampledFrom([]int64{0, 1, 1024, 4096}).Draw(t, "output")
	spec.Tools = rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Tool {
		return Tool{
			Name:     rapid.SampledFrom([]string{"clock", "calculator", "shop_*", "shop_buy"}).Draw(t, "tool"),
			Approval: rapid.SampledFrom([]string{"", "tool", "always"}).Draw(t, "approval"),
		}
	}), 0, 4, func(tool Tool) string { return tool.Name }).Draw(t, "tools")
	spec.Budgets = Budgets{
		Steps:    rapid.SampledFrom([]int32{0, 16, 17}).Draw(t, "steps"),
		Tokens:   rapid.SampledFrom([]int64{0, 200000, 1}).Draw(t, "tokens"),
		CostUSD:  rapid.SampledFrom([]string{"", "0.25", "00.250", "1", "1.0", "12.000001"}).Draw(t, "cost"),
		Deadline: rapid.SampledFrom([]Duration{0, 120e9, 90e9}).Draw(t, "deadline"),
		Hops:     rapid.SampledFrom([]int32{0, 8, 1}).Draw(t, "hops"),
	}
	spec.Guardrails.Input = rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Guardrail {
		return Guardrail{
			Name:      rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "rule"),
			MaxLength: rapid.IntRange(1, 100).Draw(t, "length"), Message: text.Draw(t, "message"),
		}
	}), 0, 3, func(rule Guardrail) string { return rule.Name }).Draw(t, "input")
	spec.Rollout.Promotion = rapid.SampledFrom([]string{"", "manual", "automatic"}).Draw(t, "promotion")

	// An empty list and none are the same in a file.
	if len(spec.Tools) == 0 {
		spec.Tools = nil
	}

	if len(spec.Guardrails.Input) == 0 {
		spec.Guardrails.Input = nil
	}

	return agent
}

func TestLoadResolved(t *testing.T) {
	agent := fullAgent(t)
	agent.Spec.Prompt = Prompt{Inline: agent.Spec.Prompt.Inline}
	agent.Spec.Retriever.Documents = []Documents{{Folder: "handbook"}}

	data, err := MarshalResolved(agent)
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	named := filepath.Join(dir, ResolvedName(agent))
	unnamed := filepath.Join(dir, "agent.json")

	for _, path := range []string{named, unnamed} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	revision := Revision(agent)
	other := strings.Repeat("0", 64)

	for _, test := range []struct{ path, expected, want string }{
		{named, "", ""},
		{named, revision, ""},
		{unnamed, revision, ""},
		{unnamed, Short(revision), ""},
		{unnamed, "", "its name does not end in a revision"},
		{unnamed, Short(revision)[:11], "is expected"},
		{named, other, other + " is expected"},
		{filepath.Join(dir, "none.json"), revision, "no such file"},
	} {
		got, err := LoadResolved(test.path, test.expected)

		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s, %q: %v", test.path, test.expected, err)
		case test.want == "":
			if diff := cmp.Diff(agent, got); diff != "" {
				t.Error(diff)
			}
		case err == nil || !strings.Contains(err.Error(), test.want):
			t.Errorf("%s, %q: %v, want %q", test.path, test.expected, err, test.want)
		}
	}

	if err := os.WriteFile(named, bytes.Replace(data, []byte("invoices"), []byte("Invoices"), 1), 0o600); err != nil {
		t.Fatal(err)
	}

	if _, err := LoadResolved(named, ""); err == nil || !strings.Contains(err.Error(), "its content is revision") {
		t.Errorf("a changed file: %v", err)
	}
}

func TestUnmarshalResolvedRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{`:    "not a resolved agent",
		`[]`:   "not a resolved agent",
		`{} x`: "something follows",
		`{}`:   "metadata.name: required",
		`{"apiVersion":"serin.dev/v1alpha1","kind":"Agent","metadata":{"name":"a"},"spec":{"description":"d","prompt":{"file":"x"}}}`: "must be inline",
		`{"new":1}`: "unknown field",
	} {
		if _, err := UnmarshalResolved([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}

	if _, err := MarshalResolved(Agent{Spec: AgentSpec{Prompt: Prompt{File: "x"}}}); err == nil {
		t.Error("an agent that is not resolved was marshalled")
	}
}

// TestCanonical has the examples of RFC 8785 that concern us.
func TestCanonical(t *testing.T) {
	for _, test := range []struct {
		in   any
		want string
	}{
		{map[string]any{"b": 1, "a": []any{true, "x"}}, `{"a":[true,"x"],"b":1}`},
		{map[string]any{}, `{}`},
		{[]any{}, `[]`},
		{"\u20ac$\u000f\nA'B\"\\\\\"/<>&\u2028", "\"\u20ac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/<>&\u2028\""},
		{
			map[string]any{"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7},
			"{\"\\r\":2,\"1\":4,\"\u0080\":6,\"\u00f6\":7,\"\u20ac\":1,\"\U0001f600\":5,\"\ufb33\":3}",
		},
		{1e21, "1e+21"},
		{0.000001, "0.000001"},
		{1e-7, "1e-7"},
		{100.0, "100"},
		{math.Copysign(0, -1), "0"},
		{0.2, "0.2"},
	} {
		out := &bytes.Buffer{}
		canonical(out, test.in)

		if out.String() != test.want {
			t.Errorf("got %s, want %s", out, test.want)
		}
	}
}

func TestNormalUSD(t *testing.T) {
	for in, want := range map[string]string{"": "", "0.25": "0.25", "00.250": "0.25", "1.0": "1", "10": "10", "1": "1"} {
		if got := normalUSD(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
