package agentspec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const alone = `apiVersion: serin.dev/v1alpha1
kind: MCPServer
metadata: {name: shop}
spec: {command: [shop]}
---
apiVersion: serin.dev/v1alpha1
kind: Agent
metadata: {name: billing}
spec:
  description: Bills.
  prompt: {file: prompt.md}
  handoffs: [{agent: elsewhere}, {agent: triage, when: Someone is lost.}]
  tools: [{name: other_refund}]
`

func TestLoadOne(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()

		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}

		return path
	}

	file("prompt.md", "You bill.")

	got, err := LoadOne(file("alone.yaml", alone), "billing")
	if err != nil {
		t.Fatal(err)
	}

	if got.Spec.Prompt.Inline != "You bill." || got.Spec.Prompt.File != "" || got.Spec.Budgets.Steps == 0 {
		t.Errorf("not resolved: %+v", got.Spec)
	}

	if got.Spec.Handoffs[0].When != "" || got.Spec.Handoffs[1].When != "Someone is lost." {
		t.Errorf("handoffs: %+v", got.Spec.Handoffs)
	}

	for name, want := range map[string]string{
		"gone.yaml":                      "can't be read",
		file("syntax.yaml", "a: ["):      "not YAML",
		file("other.yaml", alone+"\nx:"): "unknown field",
		file("none.yaml", strings.ReplaceAll(alone, "billing", "billling")):             `no agent "billing" here; did you mean billling`,
		file("self.yaml", strings.ReplaceAll(alone, "elsewhere", "billing")):            "can't hand off to itself",
		file("prompt.yaml", strings.ReplaceAll(alone, "prompt.md", "missing.md")):       `"missing.md": can't be read`,
		file("twice.yaml", alone+"---\n"+strings.SplitAfterN(alone, "---\n", 2)[1]):     "another Agent of this name",
		file("wrong.yaml", strings.ReplaceAll(alone, "description: Bills.", "sla: {}")): "spec.description: required",
	} {
		if _, err := LoadOne(name, "billing"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}
