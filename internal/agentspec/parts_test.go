package agentspec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const desk = `apiVersion: serin.dev/v1alpha1
kind: Agent
metadata: {name: billing}
spec:
  description: Bills.
  prompt: {file: prompt.md}
  handoffs: [{agent: triage}]
  tools: [{name: clock}]
---
apiVersion: serin.dev/v1alpha1
kind: Agent
metadata: {name: triage}
spec: {description: Sorts., entry: true, prompt: {inline: You sort.}}
`

func TestAssembledAgentsHaveTheRevisionOfOnesThatSayItThemselves(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()

		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}

		return path
	}

	write("prompt.md", "You bill.\x7f")

	whole := write("desk.yaml", desk)

	set, err := Load(whole)
	if err != nil {
		t.Fatal(err)
	}

	want, _ := set.Agent("billing")
	prompt := "You bill.\x7f"
	other := strings.NewReplacer("  prompt: {file: prompt.md}\n", "", "[{name: clock}]", "[{name: calculator}]")
	bare := write("bare.yaml", other.Replace(desk))

	resolved, err := MarshalResolved(want)
	if err != nil {
		t.Fatal(err)
	}

	for name, got := range map[string]struct {
		path  string
		parts Parts
	}{
		"nothing put in":   {whole, Parts{}},
		"parts put in":     {bare, Parts{Prompt: &prompt, Tools: []Tool{{Name: "clock"}}}},
		"resolved already": {write("agent.json", string(resolved)), Parts{}},
		"in the place of": {
			write("other.json", strings.Replace(string(resolved), "You bill.", "You bill twice.", 1)),
			Parts{Prompt: &prompt, Guardrails: &Guardrails{}},
		},
	} {
		agent, err := Assemble(got.path, "billing", got.parts)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}

		if diff := cmp.Diff(want, agent); diff != "" || Revision(agent) != Revision(want) {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestAssembleSaysWhatDoesNotFit(t *testing.T) {
	dir := t.TempDir()
	good := strings.Replace(desk, "file: prompt.md", "inline: You bill.", 1)
	pinned := strings.Replace(desk, "file: prompt.md", "file: prompt.md, digest: 'sha256:"+strings.Repeat("0", 64)+"'", 1)
	billing, _, _ := strings.Cut(good, "---\n")
	prompt, blank := "You bill.", " \n"

	one := Agent{APIVersion: APIVersion, Kind: KindAgent, Metadata: Metadata{Name: "billing"}}
	one.Spec.Description, one.Spec.Prompt.Inline = "Bills.", "You bill."

	resolved, err := MarshalResolved(one)
	if err != nil {
		t.Fatal(err)
	}

	for name, test := range map[string]struct {
		text, agent string
		parts       Parts
		want        string
	}{
		"two agents":         {good, "", Parts{}, "2 agents here, billing, triage: say which one is meant"},
		"none of that name":  {good, "biling", Parts{}, `no agent "biling" here; did you mean billing?`},
		"no agent":           {"", "", Parts{}, "no object of kind Agent here"},
		"another digest":     {pinned, "billing", Parts{Prompt: &prompt}, ":6:37: spec.prompt.digest: sha256:0000"},
		"a blank prompt":     {good, "billing", Parts{Prompt: &blank}, "spec.prompt.inline: the prompt is blank"},
		"an open handoff":    {billing, "", Parts{}, `spec.handoffs[0].when: required here: by default it is the description of agent "triage"`},
		"another resolved":   {string(resolved), "triage", Parts{}, `no agent "triage" here; allowed here: billing`},
		"a wrong resolved":   {string(resolved), "", Parts{Prompt: &blank}, "spec.prompt.inline: the prompt is blank"},
		"resolved with more": {string(resolved) + "{}", "", Parts{}, "not YAML"},
	} {
		path := filepath.Join(dir, "agent.yaml")
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}

		_, err := Assemble(path, test.agent, test.parts)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}

func TestPartsAreReadAsTheFieldsOfASpec(t *testing.T) {
	for text, want := range map[string]string{
		"[]":                                   "",
		`[{"name": "clock"}]`:                  "",
		"- name: shop_*\n  approval: always\n": "",
		"":                                     "t:1:1: spec.tools: want a list of tools, as in spec.tools, not nothing",
		"# later\n":                            "t:1:1: spec.tools: want a list of tools, as in spec.tools, not nothing",
		"{tools: []}":                          "t:1:1: spec.tools: want a list, not a mapping",
		"[{nam: clock}]":                       "t:1:3: spec.tools[0].nam: unknown field; did you mean name?",
		"- name: clock\n- name: watch":         `t:2:9: spec.tools[1].name: no built-in tool "watch"`,
		"[{name: clock}, {name: clock}]":       "spec.tools[1].name",
		"[{name: clock}":                       "not YAML",
		"[]\n---\n[]\n":                        "want one document; another follows",
	} {
		tools, err := ParseTools("t", []byte(text))

		switch {
		case want == "" && (err != nil || tools == nil):
			t.Errorf("%q: %v, %v", text, tools, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}

	guardrails, err := ParseGuardrails("g", []byte("input: [{name: length, maxLength: 4000}]\noutputSchema: {type: object}"))
	if err != nil || guardrails.Input[0].MaxLength != 4000 || string(guardrails.OutputSchema) != `{"type":"object"}` {
		t.Errorf("%+v, %v", guardrails, err)
	}

	for text, want := range map[string]string{
		"[]":                                   "g:1:1: spec.guardrails: want a mapping, not a list",
		"input: [{name: bad, pattern: '('}]":   "g:1:30: spec.guardrails.input[0].pattern: not a regular expression",
		"output: [{name: none}]":               "spec.guardrails.output[0]",
		`outputSchema: {type: "no such type"}`: "spec.guardrails.outputSchema",
	} {
		if _, err := ParseGuardrails("g", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// FuzzParts looks for parts that can't be read and written again, and for panics.
func FuzzParts(f *testing.F) {
	f.Add([]byte("[{name: clock, approval: always}, {name: shop_*}]"))
	f.Add([]byte(`{"input": [{"name": "a", "words": ["x"]}], "redaction": {"kinds": ["email"]}, "outputSchema": {"type": "object"}}`))
	f.Add([]byte("- &a {name: clock}\n- *a"))

	f.Fuzz(func(t *testing.T, data []byte) {
		if tools, err := ParseTools("t", data); err == nil {
			again, err := ParseTools("t", MarshalTools(tools))
			if diff := cmp.Diff(tools, again); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		}

		if guardrails, err := ParseGuardrails("g", data); err == nil {
			again, err := ParseGuardrails("g", MarshalGuardrails(guardrails))
			if diff := cmp.Diff(guardrails, again); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		}
	})
}
