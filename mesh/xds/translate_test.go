package xds

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"github.com/serinhq/serin/mesh/xds/objects"
)

// Each file of testdata/translate is objects, the resources made of them, and their problems. Rewrite with -update.
func TestTranslate(t *testing.T) {
	files, err := filepath.Glob("testdata/translate/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}

	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}

			got := transcript(t, archive)

			if *update {
				if err := os.WriteFile(file, txtar.Format(got), 0o600); err != nil {
					t.Fatal(err)
				}

				return
			}

			if diff := cmp.Diff(string(txtar.Format(archive)), string(txtar.Format(got))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// transcript translates the file objects.yaml; only the types that the comment names with "shows:" are written out.
func transcript(t *testing.T, archive *txtar.Archive) *txtar.Archive {
	t.Helper()

	got := &txtar.Archive{Comment: archive.Comment, Files: archive.Files[:1:1]}
	resources, problems := translateOnce(parse(t, string(archive.Files[0].Data)))

	var text bytes.Buffer
	for _, problem := range problems {
		fmt.Fprintln(&text, problem)
	}

	if text.Len() > 0 {
		got.Files = append(got.Files, txtar.File{Name: "problems", Data: text.Bytes()})
	}

	_, shows, _ := strings.Cut(string(archive.Comment), "shows:")

	for kind := range Type(types) {
		for _, name := range slices.Sorted(maps.Keys(resources[kind])) {
			if strings.Contains(shows, kind.String()) {
				got.Files = append(got.Files, txtar.File{Name: kind.String() + " " + name, Data: readable(t, resources.Get(kind, name))})
			}
		}
	}

	return got
}

// translateOnce translates without a past.
func translateOnce(given objects.Snapshot) (Resources, []Problem) {
	return newTranslator(Options{}).translate(given)
}

func readable(t *testing.T, resource *Resource) []byte {
	t.Helper()

	message, err := resource.Body.UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}

	text, err := protojson.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}

	text, err = yaml.JSONToYAML(text)
	if err != nil {
		t.Fatal(err)
	}

	return text
}
