package agentspec

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite what archives in testdata/problems want")

// TestProblems loads the files of each archive in testdata/problems and compares all that is wrong with the archive's
// file "want". Run with -update to write what there is now.
func TestProblems(t *testing.T) {
	archives, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives", err)
	}

	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}

			files := fstest.MapFS{}
			want := ""

			for _, file := range archive.Files {
				if file.Name == "want" {
					want = string(file.Data)
				} else {
					files[file.Name] = &fstest.MapFile{Data: file.Data}
				}
			}

			_, err = LoadFS(files, "")

			var problems Problems
			if !errors.As(err, &problems) {
				t.Fatalf("want Problems, got %v", err)
			}

			got := problems.Error() + "\n"
			if *update {
				rewrite(t, path, archive, got)
			} else if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func rewrite(t *testing.T, path string, archive *txtar.Archive, want string) {
	t.Helper()

	files := []txtar.File{}
	for _, file := range archive.Files {
		if file.Name != "want" {
			files = append(files, file)
		}
	}

	files = append(files, txtar.File{Name: "want", Data: []byte(want)})
	archive.Files = files

	if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
		t.Fatal(err)
	}
}

const agentHead = "apiVersion: serin.dev/v1alpha1\nkind: Agent\nmetadata: {name: a}\n"

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}

		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("empty/readme.md", "")
	write("big/a.yaml", strings.Repeat("# 345678\n", 1<<17))
	write("binary/a.yaml", "\x00\x01")
	write("deep/a.yaml", agentHead+"spec: "+strings.Repeat("[", 20000))
	write("bomb/a.yaml", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n")
	write("flood/a.yaml", agentHead+"spec:\n"+strings.Repeat("  x: 1\n", 500))
	write("folder/a.yaml/x", "")

	for name, want := range map[string]string{
		"none":   "no such file or directory",
		"empty":  "no *.yaml or *.yml files here",
		"folder": "no *.yaml or *.yml files here",
		"big":    "more than 1048576 bytes",
		"binary": "not YAML",
		"deep":   "not YAML",
		"bomb":   "kind: required",
		"flood":  "more problems",
	} {
		_, err := Load(filepath.Join(dir, name))

		var problems Problems
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}

		if len(problems) > maxProblems+2 {
			t.Errorf("%s: %d problems", name, len(problems))
		}
	}
}

func TestLoadOneFile(t *testing.T) {
	set, err := Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}

	if got := set.Origin(KindAgent, "other"); got != (Origin{File: "testdata/full.yaml", Line: 73}) {
		t.Errorf("origin %+v", got)
	}

	if got := set.Origin(KindAgent, "nobody"); got != (Origin{}) {
		t.Errorf("origin %+v", got)
	}

	if entry, ok := set.Entry(); !ok || entry.Metadata.Name != "full" {
		t.Errorf("entry %v %v", entry.Metadata.Name, ok)
	}

	if diff := cmp.Diff([]string{"full"}, Callers(set, "third")); diff != "" {
		t.Error(diff)
	}

	if got := Callers(set, "full"); len(got) != 0 {
		t.Errorf("callers %v", got)
	}

	want := map[string][]Tool{
		"full": {{Name: "clock", Approval: "always"}, {Name: "shop_buy", Approval: "always"}}, "other": nil, "third": nil,
	}
	if diff := cmp.Diff(want, Grants(set)); diff != "" {
		t.Error(diff)
	}
}

// TestOnlyServers: a folder may hold tool servers alone; there is nobody to be the entry then.
func TestOnlyServers(t *testing.T) {
	set, err := LoadFS(fstest.MapFS{"s.yml": {Data: []byte("---\n" + oneServer + "\n---\n")}}, "")
	if err != nil {
		t.Fatal(err)
	}

	if len(set.Agents) != 0 || len(set.Servers) != 1 {
		t.Errorf("%+v", set)
	}

	if _, ok := set.Entry(); ok {
		t.Error("an entry without agents")
	}
}

// TestExamples: what is in the repository for newcomers is right.
func TestExamples(t *testing.T) {
	set, err := Load("../../deploy/local/agents")
	if err != nil {
		t.Fatal(err)
	}

	if len(set.Agents) != 3 || len(set.Servers) != 2 {
		t.Errorf("%d agents, %d servers", len(set.Agents), len(set.Servers))
	}

	if diff := cmp.Diff([]string{"billing", "triage"}, Callers(set, "scheduling")); diff != "" {
		t.Error(diff)
	}
}

// TestTagsParse: defaults and limits are constants that fit their fields, and defaults are within limits.
func TestTagsParse(t *testing.T) {
	agent := Agent{}
	Default(&agent)

	for _, problem := range agent.Validate() {
		if !strings.Contains(problem.Message, "required") {
			t.Error(problem)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yaml", "testdata/revisions/*.yaml", "testdata/problems/*.txtar", "../../deploy/local/agents/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}

		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}

			f.Add(data)
		}
	}

	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := LoadFS(fstest.MapFS{"a.yaml": {Data: data}, "p.md": {Data: []byte("prompt")}}, "")

		var problems Problems

		switch {
		case err != nil && !errors.As(err, &problems):
			t.Fatalf("not Problems: %v", err)
		case err != nil:
			if len(problems) == 0 {
				t.Fatal("an error without problems")
			}
		default:
			for _, agent := range set.Agents {
				resolved, err := MarshalResolved(agent)
				if err != nil {
					t.Fatal(err)
				}

				again, err := UnmarshalResolved(resolved)
				if err != nil {
					t.Fatalf("%v\n%s", err, resolved)
				}

				if Revision(agent) != Revision(again) {
					t.Fatalf("the revision changed on the way through a file:\n%s", resolved)
				}
			}
		}
	})
}
