package v1alpha1

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite what archives in testdata/refusals want")

// TestRefusals creates the objects of testdata/refusals: the archive's file object.yaml is refused for exactly what its
// file want says, one "field: words" in a line. The same archives can be put to a real API server: the causes of its
// answer have these fields, and end in these words. Run with -update to write what there is now.
func TestRefusals(t *testing.T) {
	archives, err := filepath.Glob("testdata/refusals/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives", err)
	}

	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil || len(archive.Files) != 2 {
				t.Fatalf("want object.yaml and want: %v", err)
			}

			created := object(t, archive.Files[0].Data)

			got := []string{}
			for _, problem := range loadOnce(t, strings.ToLower(created["kind"].(string))+"s").create(t.Context(), created) {
				got = append(got, problem.Field+": "+problem.Detail+"\n")
			}

			slices.Sort(got)

			if *update {
				archive.Files[1].Data = []byte(strings.Join(got, ""))

				if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if want := string(archive.Files[1].Data); strings.Join(got, "") != want {
				t.Errorf("want:\n%s\ngot:\n%s", want, strings.Join(got, ""))
			}
		})
	}
}
