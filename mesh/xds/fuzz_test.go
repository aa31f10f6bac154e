package xds

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/serinhq/serin/mesh/xds/objects"
)

func sortedKeys[T any](from map[string]T) []string { return slices.Sorted(maps.Keys(from)) }

// Translation is total and says the same twice; what is translated names what is there, unless it has a problem.
func FuzzTranslate(f *testing.F) {
	files, err := filepath.Glob("testdata/translate/*.txtar")
	if err != nil {
		f.Fatal(err)
	}

	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}

		f.Add(string(archive.Files[0].Data))
	}

	for kind, cases := range validationCases() {
		for _, test := range cases {
			f.Add("kind: " + kind + "\nmetadata: {name: billing}\nspec: " + test.spec + "\n---\n" + billingEntry)
		}
	}

	f.Fuzz(func(t *testing.T, text string) {
		var snapshot objects.Snapshot

		for document := range strings.SplitSeq(text, "\n---\n") {
			if parseInto(&snapshot, []byte(document)) != nil {
				return
			}
		}

		resources, problems := translateOnce(snapshot)
		again, _ := translateOnce(snapshot)

		same(t, resources, again)
		same(t, again, resources)

		for name, resource := range resources[Routes] {
			for _, need := range resource.Needs {
				if resources.Get(Cluster, need) == nil && len(problems) == 0 {
					t.Errorf("%s needs %s, which is not there", name, need)
				}
			}
		}

		for name := range resources[Cluster] {
			if resources.Get(Endpoints, name) == nil {
				t.Errorf("the cluster %s has no endpoints, not even none", name)
			}
		}
	})
}
