package readme_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/serinhq/serin/mesh/e2e/cluster"
)

const namespace = "serin"

// root is the repository's, where the README's commands are run.
func root(t *testing.T) string {
	t.Helper()

	found, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}

	return found
}

// section is a part of the README under a heading: its blocks of commands, and those that it says are not run.
type section struct {
	heading         string
	blocks, skipped []string
}

// sections reads the README.
func sections(t *testing.T) []section {
	t.Helper()

	text, err := os.ReadFile(filepath.Join(root(t), "deploy", "README.md"))
	if err != nil {
		t.Fatal(err)
	}

	var (
		all     []section
		block   []string
		within  bool
		skipped bool
	)

	for line := range strings.Lines(string(text)) {
		switch now := &all; {
		case within && strings.HasPrefix(line, "```"):
			one := &(*now)[len(all)-1]
			if skipped {
				one.skipped = append(one.skipped, strings.Join(block, ""))
			} else {
				one.blocks = append(one.blocks, strings.Join(block, ""))
			}

			within, skipped, block = false, false, nil
		case within:
			block = append(block, line)
		case strings.HasPrefix(line, "```sh"):
			within = true
		case strings.HasPrefix(line, "<!-- not run"):
			skipped = true
		case strings.HasPrefix(line, "#"):
			all = append(all, section{heading: strings.TrimSpace(strings.TrimLeft(line, "# "))})
		}
	}

	return all
}

// TestTheREADMECanBeFollowed types its commands as they stand there, and wants what it promises.
func TestTheREADMECanBeFollowed(t *testing.T) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		if os.Getenv("SERIN_TEST_REQUIRE") != "" {
			t.Fatal("kubectl is required: install kubernetes-client")
		}

		t.Skip("needs kubectl: install kubernetes-client")
	}

	c := cluster.ForTest(t, cluster.Options{})
	person := open(t, root(t), "KUBECONFIG="+c.Kubeconfig, "HOME="+t.TempDir(),
		"PATH="+filepath.Dir(cluster.Program("serin"))+":"+os.Getenv("PATH"))

	want := map[string][]string{
		"Install":           {"namespace/serin created", "deployment.apps/serin-controller created"},
		"Agents":            {"agent.serin.dev/billing condition met", "STABLE", "deployment.apps/serin-gateway condition met"},
		"What a pod loads":  {"system-prompt.txt   written", "agent.json"},
		"Talk":              {"TURN_STATE_INPUT_REQUIRED", `"handoff"`, "billing"},
		"Canaries":          {"agent.serin.dev/billing condition met", "promoted", "undo", "Promote"},
		"Who may what":      {"yes"},
		"Uninstall":         {`agent.serin.dev "billing" deleted`, `namespace "serin" deleted`},
		"The image":         nil,
		"Another namespace": nil,
	}

	for _, part := range sections(t) {
		said := ""
		for _, block := range part.blocks {
			said += person.run(block)
		}

		for _, words := range want[part.heading] {
			if !strings.Contains(said, words) {
				t.Errorf("%s: %q is not in\n%s", part.heading, words, said)
			}
		}

		if _, known := want[part.heading]; !known && len(part.blocks)+len(part.skipped) > 0 {
			t.Errorf("nobody says what %q promises", part.heading)
		}

		delete(want, part.heading)

		if part.heading == "Install" {
			hurry(t, c, person)
		}
	}

	if len(want) > 0 {
		t.Errorf("the README has nothing about %v", want)
	}

	if _, err := c.Kubernetes.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace is still there: %v", err)
	}
}

// hurry has agents leave after two seconds rather than ten minutes: a test should not wait that long.
func hurry(t *testing.T, c *cluster.Cluster, person *shell) {
	t.Helper()

	maps := c.Kubernetes.CoreV1().ConfigMaps(namespace)

	config, err := maps.Get(t.Context(), "serin-config", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}

	const place = `"llmSecret": "serin-llm"`

	before := config.Data["controller.json"]
	config.Data["controller.json"] = strings.Replace(before, place, place+`, "deleteAfter": "2s"`, 1)

	if config.Data["controller.json"] == before {
		t.Fatalf("%s is not in %s", place, before)
	}

	if _, err := maps.Update(t.Context(), config, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}

	person.run("kubectl rollout restart deployment/serin-controller -n " + namespace)
}

// TestAnotherNamespace has the README's command rename the namespace in a copy of the manifests.
func TestAnotherNamespace(t *testing.T) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("needs kubectl: install kubernetes-client")
	}

	copied := t.TempDir()
	if err := os.CopyFS(filepath.Join(copied, "deploy"), os.DirFS(filepath.Join(root(t), "deploy"))); err != nil {
		t.Fatal(err)
	}

	for _, part := range sections(t) {
		if part.heading == "Another namespace" {
			output(t, copied, "bash", "-ec", part.skipped[0])
		}
	}

	for _, mode := range []string{"deploy/base", "deploy/sidecar"} {
		objects, err := cluster.Parse(output(t, copied, "kubectl", "kustomize", mode))
		if err != nil || len(objects) == 0 {
			t.Fatalf("%s: %d objects, %v", mode, len(objects), err)
		}

		for _, object := range objects {
			check(t, mode, object)
		}
	}
}

// check wants that an object is in the new namespace, and says nothing about the old one.
func check(t *testing.T, mode string, object *unstructured.Unstructured) {
	t.Helper()

	what := mode + ": " + object.GetKind() + " " + object.GetName()

	switch space := object.GetNamespace(); {
	case space == "chat", space == "kube-system":
	case space == "" && strings.HasPrefix(object.GetKind(), "C"): // a kind of the whole cluster
	default:
		t.Errorf("%s is in namespace %q", what, space)
	}

	data, err := object.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}

	for _, old := range []string{`"namespace":"serin"`, `"namespaces":["serin"]`, "/ns/serin/", `"name":"serin-controller-auth`} {
		if strings.Contains(string(data), old) {
			t.Errorf("%s still says %s", what, old)
		}
	}
}

func output(t *testing.T, dir, program string, args ...string) string {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	command := exec.CommandContext(ctx, program, args...)
	command.Dir = dir

	said, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, said)
	}

	return string(said)
}
