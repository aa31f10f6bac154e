package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/canary"
	"github.com/serinhq/serin/mesh/controller"
	"github.com/serinhq/serin/mesh/controller/sqlite"
)

func TestGoesOnWithWhatRanBefore(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "agents")

	set, err := loadExamples(folder)
	if err != nil {
		t.Fatal(err)
	}

	billing, _ := set.Agent("billing")
	short := agentspec.Short(agentspec.Revision(billing))

	resolved, err := agentspec.MarshalResolved(billing)
	if err != nil {
		t.Fatal(err)
	}

	for path, content := range map[string]string{
		"revisions/running.json": `{"format": 1, "agents": {
			"billing": {"revision": "` + short + `", "attempt": 3},
			"lost": {"revision": "aaaaaaaaaaaa", "attempt": 2},
			"never": {"revision": "", "attempt": 1}}}`,
		"revisions/billing/" + short + ".json":   string(resolved),
		"revisions/billing/0123456789ab.json":    "{}",
		"revisions/lost/aaaaaaaaaaaa.json":       `{"of": "another form"}`,
		"revisions/scheduling/bbbbbbbbbbbb.json": "{}",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}

		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "rollouts.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()

	want := []controller.Record{
		{Agent: "billing", Declaration: string(resolved), Declared: short, State: canary.State{
			Agent: "billing", Phase: canary.Idle, Step: -1, Stable: short, Declared: short, Attempt: 3,
			Reason: short + " ran already", Withdrawn: map[string]int64{"0123456789ab": 3},
		}},
		{Agent: "lost", Gone: true, Orphans: []string{"aaaaaaaaaaaa"}, State: canary.State{
			Agent: "lost", Phase: canary.Idle, Step: -1, Attempt: 2,
		}},
	}

	for range 2 { // the second time it is known already
		if err := succeed(t.Context(), store, filepath.Join(dir, "revisions")); err != nil {
			t.Fatal(err)
		}

		got, err := store.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}

		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("what is kept (-want +got):\n%s", diff)
		}

		want[0].State.Attempt, want[0].State.Reason = 4, "decided since"
		if err := store.Save(t.Context(), want[0]); err != nil {
			t.Fatal(err)
		}
	}

	kept, err := store.GetRevision(t.Context(), "billing", short)
	if err != nil || kept.Declaration != string(resolved) {
		t.Errorf("the revision that ran is kept as %+v, %v", kept, err)
	}
}

func TestNothingRanBefore(t *testing.T) {
	if err := succeed(t.Context(), nil, t.TempDir()); err != nil {
		t.Error(err)
	}
}
