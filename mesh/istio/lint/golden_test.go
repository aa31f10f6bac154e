package lint_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"istio.io/client-go/pkg/clientset/versioned/scheme"
	"k8s.io/apimachinery/pkg/runtime"
)

// golden is what a golden file of mesh/istio holds: others' objects before, and all after.
type golden struct{ before, after []runtime.Object }

func goldens(t *testing.T) map[string]golden {
	t.Helper()

	files, err := filepath.Glob("../testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}

	all := map[string]golden{}

	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}

		found := golden{}

		for _, part := range archive.Files {
			switch part.Name {
			case "objects.yaml":
				found.before = objects(t, string(part.Data))
			case "after.yaml":
				found.after = objects(t, string(part.Data))
			}
		}

		all[filepath.Base(file)] = found
	}

	return all
}

func objects(t *testing.T, text string) []runtime.Object {
	t.Helper()

	all := []runtime.Object{}

	for document := range strings.SplitSeq(text, "\n---\n") {
		if strings.TrimSpace(document) == "" {
			continue
		}

		object, _, err := scheme.Codecs.UniversalDeserializer().Decode([]byte(document), nil, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, document)
		}

		all = append(all, object)
	}

	return all
}
