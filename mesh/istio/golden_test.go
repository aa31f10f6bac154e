package istio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the golden files under testdata")

// goldenStep is one thing that is done to the objects of a golden file: a routing is applied, someone patches an object,
// or the agent is deleted.
type goldenStep struct {
	Routing

	Do string `json:"do"`
	// Object and Patch are of someone else's edit: a JSON Patch.
	Object string          `json:"object"`
	Patch  json.RawMessage `json:"patch"`
}

// TestGolden holds real-world objects, and what Serin writes to them: each file has the agent, the objects as they are
// found, the steps, and then what was written in each step, what was reported, and the objects in the end.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}

	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runGolden(t, file) })
	}
}

func runGolden(t *testing.T, file string) {
	t.Helper()

	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}

	var (
		agent Agent
		steps []goldenStep
		found []byte
	)

	input := txtar.Archive{Comment: archive.Comment}

	for _, part := range archive.Files {
		switch part.Name {
		case "agent.yaml":
			err = yaml.UnmarshalStrict(part.Data, &agent)
		case "objects.yaml":
			found = part.Data
		case "steps.yaml":
			err = yaml.Unmarshal(part.Data, &steps)
		default:
			continue
		}

		if err != nil {
			t.Fatal(part.Name, err)
		}

		input.Files = append(input.Files, part)
	}

	output := input
	output.Files = append(output.Files, play(t, agent, string(found), steps)...)

	if *update {
		if err := os.WriteFile(file, txtar.Format(&output), 0o600); err != nil {
			t.Fatal(err)
		}

		return
	}

	if diff := cmp.Diff(string(txtar.Format(archive)), string(txtar.Format(&output))); diff != "" {
		t.Errorf("run with -update to accept (-golden +now):\n%s", diff)
	}
}

func play(t *testing.T, agent Agent, objects string, steps []goldenStep) []txtar.File {
	t.Helper()

	s := newServer()
	s.load(t, objects)

	router := newRouter(t, s)

	var output []txtar.File

	for i, step := range steps {
		var text bytes.Buffer

		s.tap = func(method, path string, body []byte) { fmt.Fprint(&text, printed(method, path, body)) }

		fmt.Fprintln(&text, perform(t, s, router, agent, step))

		s.tap = nil
		output = append(output, txtar.File{Name: fmt.Sprintf("step-%d.txt", i+1), Data: text.Bytes()})
	}

	return append(output, txtar.File{Name: "after.yaml", Data: []byte(s.yaml())})
}

func perform(t *testing.T, s *server, router *Router, agent Agent, step goldenStep) string {
	t.Helper()

	switch step.Do {
	case "delete":
		if err := remove(s, router, agent); err != nil {
			return err.Error()
		}

		return "deleted"
	case "edit":
		parts := strings.Split(step.Object, "/")
		path := fmt.Sprintf("/apis/networking.istio.io/v1/namespaces/%s/%s/%s", agent.Namespace, parts[0], parts[1])

		if code, answer := s.serve(http.MethodPatch, path, step.Patch); code != http.StatusOK {
			t.Fatal(string(answer))
		}

		router.forget(agent) // as a watch would make it

		return "someone edited " + step.Object
	case "observe":
		progress, err := router.Observe(context.Background(), agent)

		return told(progress, err)
	default:
		return told(apply(s, router, agent, step.Routing))
	}
}

// apply applies until nothing changes any more.
func apply(s *server, router *Router, agent Agent, routing Routing) (progress Progress, err error) {
	var drift string

	for range 10 {
		progress, err = router.Apply(context.Background(), agent, routing)
		drift = joined(drift, progress.Drift)
		progress.Drift = drift

		if err != nil || progress.Done {
			return progress, err
		}

		s.reconcileAll()
	}

	return progress, err
}

// remove deletes until nothing changes any more.
func remove(s *server, router *Router, agent Agent) (err error) {
	for range 5 {
		if err = router.Delete(context.Background(), agent); !errors.Is(err, ErrWaiting) {
			return err
		}

		s.reconcileAll()
	}

	return err
}

func told(p Progress, err error) string {
	text := fmt.Sprintf("done: %v\nrouted: %v\nweight: %d\n", p.Done, p.Routed, p.Weight)

	for _, line := range [][2]string{
		{"slot", p.Slot},
		{"waiting", p.Waiting},
		{"drift", p.Drift},
		{"problem", p.Problem},
		{"observed", key(p.Observed)},
	} {
		if line[1] != "" {
			text += line[0] + ": " + line[1] + "\n"
		}
	}

	if err != nil {
		text += "error: " + err.Error() + "\n"
	}

	return strings.TrimSpace(text)
}

// printed shows a write: for patches, one operation a line.
func printed(method, path string, body []byte) string {
	text := method + " " + short(path) + "\n"

	var operations []json.RawMessage
	if json.Unmarshal(body, &operations) == nil {
		for _, operation := range operations {
			text += "  " + string(operation) + "\n"
		}
	}

	return text
}
