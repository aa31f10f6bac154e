package agentspec

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// oneConfigMap is a cluster with the ConfigMap prompts in the namespace shop.
type oneConfigMap map[string]string

var errAway = errors.New("the API server is away")

func (m oneConfigMap) ConfigMapKey(_ context.Context, namespace, name, key string) (string, bool, error) {
	if key == "away" {
		return "", false, errAway
	}

	text, found := m[key]

	return text, found && namespace == "shop" && name == "prompts", nil
}

const digestOfHi = "sha256:8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"

func TestResolvePrompt(t *testing.T) {
	cluster := oneConfigMap{"hi.md": "hi", "blank.md": " \n", "latin.md": "\xe9"}
	from := func(name, key, digest string) Prompt {
		return Prompt{ConfigMapKeyRef: &ConfigMapKeyRef{Name: name, Key: key}, Digest: digest}
	}
	other := "sha256:" + strings.Repeat("0", 64)

	for name, test := range map[string]struct {
		prompt Prompt
		want   string
	}{
		"inline":       {Prompt{Inline: "hi"}, ""},
		"inline, sum":  {Prompt{Inline: "hi", Digest: digestOfHi}, ""},
		"inline wrong": {Prompt{Inline: "ho", Digest: digestOfHi}, "spec.prompt.digest: " + digestOfHi + " is declared, and the prompt's is sha256:"},
		"right":        {from("prompts", "hi.md", digestOfHi), ""},
		"wrong":        {from("prompts", "hi.md", other), "spec.prompt.digest: " + other + " is declared, and the prompt's is " + digestOfHi},
		"no key": {
			from("prompts", "ho.md", other),
			`spec.prompt.configMapKeyRef: no ConfigMap "prompts" with the key "ho.md" in the namespace "shop"`,
		},
		"no map": {from("others", "hi.md", other), `no ConfigMap "others" with the key "hi.md"`},
		"blank":  {from("prompts", "blank.md", other), "spec.prompt.configMapKeyRef: the prompt is blank"},
		"latin":  {from("prompts", "latin.md", other), "spec.prompt.configMapKeyRef: not valid UTF-8"},
		"file":   {Prompt{File: "hi.md"}, "spec.prompt: the agent is not resolved"},
	} {
		agent := Agent{Metadata: Metadata{Name: "a", Namespace: "shop"}, Spec: AgentSpec{Prompt: test.prompt}}

		got, err := ResolvePrompt(t.Context(), agent, cluster)

		var problems Problems

		switch {
		case test.want == "" && (err != nil || got.Spec.Prompt != Prompt{Inline: "hi"}):
			t.Errorf("%s: %+v, %v", name, got.Spec.Prompt, err)
		case test.want != "" && (!errors.As(err, &problems) || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, want the problem %q", name, err, test.want)
		}
	}
}

// TestResolvePromptPasses on what a cluster failed with, which is no fault of the agent.
func TestResolvePromptPasses(t *testing.T) {
	agent := Agent{Spec: AgentSpec{Prompt: Prompt{ConfigMapKeyRef: &ConfigMapKeyRef{Name: "prompts", Key: "away"}}}}
	_, err := ResolvePrompt(t.Context(), agent, oneConfigMap{})

	var problems Problems
	if !errors.Is(err, errAway) || errors.As(err, &problems) {
		t.Errorf("%v", err)
	}
}

// TestStrangers: objects of a cluster are told what those of a folder are.
func TestStrangers(t *testing.T) {
	agent := Agent{Metadata: Metadata{Name: "b"}, Spec: AgentSpec{
		Tools: []Tool{{Name: "shp_buy"}, {Name: "clock"}, {Name: "shop_sell"}}, Handoffs: []Handoff{{Agent: "a"}, {Agent: "b"}, {Agent: "c"}},
	}}
	want := "spec.handoffs[1].agent: an agent can't hand off to itself\n" +
		`spec.handoffs[2].agent: no agent "c"; did you mean a? allowed here: a` + "\n" +
		`spec.tools[0].name: no MCPServer "shp"; did you mean shop? allowed here: shop`

	if got := Strangers(&agent, []string{"a", "b"}, []string{"shop"}).Error(); got != want {
		t.Error(got)
	}
}
