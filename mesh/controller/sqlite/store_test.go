package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/canary"
	"github.com/serinhq/serin/mesh/controller"
	"github.com/serinhq/serin/mesh/controller/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 24, 12, 0, 0, 123456789, time.UTC)

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()

	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})

	return store
}

// twice runs a test on a store, and again on what the file holds.
func twice(t *testing.T, write, read func(*sqlite.Store)) {
	t.Helper()

	path := filepath.Join(t.TempDir(), "deep", "rollouts.db")
	first := open(t, path)
	write(first)
	read(first)
	read(open(t, path))
}

func record(agent string) controller.Record {
	return controller.Record{
		Agent: agent, Declaration: "{}", Declared: "b", Position: 7, RemovedAt: noon, Orphans: []string{"z"},
		State: canary.State{
			Agent: agent, Phase: canary.Progressing, Attempt: 2, Seq: 9, Stable: "a", Candidate: "b", Weight: 5, Since: noon,
			Plan:        canary.Plan{Steps: []int{5, 100}, Pause: time.Minute},
			Rejected:    map[string]int64{"c": 1},
			Leaving:     []canary.Leaving{{Revision: "d", Since: noon, Successor: "a"}},
			Withdrawals: []canary.Withdrawal{{Revision: "d", Replacement: "a", Attempt: 2, Cause: "aborted"}},
		},
	}
}

func TestRecords(t *testing.T) {
	twice(t, func(store *sqlite.Store) {
		for _, agent := range []string{"triage", "billing", "billing"} {
			if err := store.Save(t.Context(), record(agent)); err != nil {
				t.Fatal(err)
			}
		}
	}, func(store *sqlite.Store) {
		got, err := store.Load(t.Context())
		if err != nil || !reflect.DeepEqual(got, []controller.Record{record("billing"), record("triage")}) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func entry(n int) controller.HistoryEntry {
	return controller.HistoryEntry{
		Time: noon.Add(time.Duration(n)), Actor: "acme/ada", Action: "step", Reason: fmt.Sprint(n), Attempt: 1,
		Before: controller.Snapshot{Phase: canary.Preparing, Stable: "a", Candidate: "b"},
		After:  controller.Snapshot{Phase: canary.Progressing, Stable: "a", Candidate: "b", Weight: 5},
	}
}

func TestHistory(t *testing.T) {
	twice(t, func(store *sqlite.Store) {
		for n := range 10 {
			if err := store.Save(t.Context(), record("billing"), entry(2*n), entry(2*n+1)); err != nil {
				t.Fatal(err)
			}
		}

		if err := store.Save(t.Context(), record("triage"), entry(99)); err != nil {
			t.Fatal(err)
		}
	}, func(store *sqlite.Store) {
		want, before := 19, int64(0)

		for want >= 0 {
			page, err := store.History(t.Context(), "billing", before, 7)
			if err != nil || len(page) == 0 {
				t.Fatalf("a page of %v, %v", page, err)
			}

			for _, got := range page {
				before = got.ID
				got.ID = 0

				if !reflect.DeepEqual(got, entry(want)) {
					t.Errorf("got %+v, want %+v", got, entry(want))
				}

				want--
			}
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	store := open(t, filepath.Join(t.TempDir(), "rollouts.db"))
	many := make([]controller.HistoryEntry, 1500)

	if err := store.Save(t.Context(), record("billing"), many...); err != nil {
		t.Fatal(err)
	}

	if got, err := store.History(t.Context(), "billing", 0, 2000); err != nil || len(got) != 1000 {
		t.Errorf("%d are kept, %v", len(got), err)
	}
}

func TestRevisionsAreKeptAsLongAsTheyAreNamed(t *testing.T) {
	name := func(letter string) string { return strings.Repeat(letter, 64) }
	path := filepath.Join(t.TempDir(), "rollouts.db")
	store := open(t, path)

	for _, letter := range []string{"a", "b", "c", "d", "e", "f"} {
		for range 2 {
			if err := store.PutRevision(t.Context(), controller.Revision{Agent: "billing", Name: name(letter), Declaration: letter}); err != nil {
				t.Fatal(err)
			}
		}
	}

	kept := record("billing")
	kept.Declared, kept.State = "", canary.State{
		Stable: agentspec.Short(name("a")), Rejected: map[string]int64{agentspec.Short(name("b")): 1},
		Leaving: []canary.Leaving{{Revision: agentspec.Short(name("c"))}},
	}
	told := entry(1)
	told.After.Stable, told.After.Candidate = agentspec.Short(name("d")), agentspec.Short(name("e"))

	if err := store.Save(t.Context(), kept, told); err != nil {
		t.Fatal(err)
	}

	for _, letter := range []string{"a", "b", "c", "d", "e"} {
		for _, by := range []string{name(letter), agentspec.Short(name(letter))} {
			if got, err := store.GetRevision(t.Context(), "billing", by); err != nil || got.Declaration != letter || got.Name != name(letter) {
				t.Errorf("%s is %v, %v", by, got, err)
			}
		}
	}

	for agent, by := range map[string]string{"billing": name("f"), "triage": name("a")} {
		if _, err := store.GetRevision(t.Context(), agent, by); !fault.Is(err, "REVISION_UNKNOWN") {
			t.Errorf("%s %s: %v", agent, by, err)
		}
	}
}

func TestServersAndNumbers(t *testing.T) {
	twice(t, func(store *sqlite.Store) {
		for _, servers := range [][]string{{"x"}, {"b", "a"}} {
			if err := store.SaveServers(t.Context(), servers); err != nil {
				t.Fatal(err)
			}
		}

		if position, numbers, err := store.LoadNumbers(t.Context()); err != nil || position != 0 || len(numbers) != 0 {
			t.Errorf("numbers before any: %d, %v, %v", position, numbers, err)
		}

		for position, numbers := range []map[string][]byte{{"billing": {1}, "triage": {2}}, {"billing": {3}}} {
			if err := store.SaveNumbers(t.Context(), int64(position+4), numbers); err != nil {
				t.Fatal(err)
			}
		}
	}, func(store *sqlite.Store) {
		if got, err := store.LoadServers(t.Context()); err != nil || !reflect.DeepEqual(got, []string{"b", "a"}) {
			t.Errorf("servers: %v, %v", got, err)
		}

		position, numbers, err := store.LoadNumbers(t.Context())
		if err != nil || position != 5 || !reflect.DeepEqual(numbers, map[string][]byte{"billing": {3}, "triage": {2}}) {
			t.Errorf("numbers: %d, %v, %v", position, numbers, err)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file, damaged, future := filepath.Join(dir, "file"), filepath.Join(dir, "damaged.db"), filepath.Join(dir, "future.db")

	err := errors.Join(os.WriteFile(file, nil, 0o600), os.WriteFile(damaged, []byte(strings.Repeat("nonsense", 1000)), 0o600))
	if err != nil {
		t.Fatal(err)
	}

	open(t, future)

	db, err := sql.Open("sqlite", future)
	if err != nil {
		t.Fatal(err)
	}

	if _, err := db.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)"); err != nil {
		t.Fatal(err)
	}

	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	for path, reason := range map[string]string{
		filepath.Join(file, "x.db"): "DATA_NOT_WRITABLE", dir: "DATA_NOT_WRITABLE", damaged: "DATABASE_DAMAGED", future: "SCHEMA_TOO_NEW",
	} {
		store, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
		if err == nil {
			_ = store.Close()
		}

		if told := fault.From(err); err == nil || told.Code != codes.FailedPrecondition || told.Reason != reason || !strings.Contains(told.Message, path) {
			t.Errorf("%s: %v, want %s", path, err, reason)
		}
	}
}

func TestClosedStoreFails(t *testing.T) {
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "rollouts.db")})
	if err != nil {
		t.Fatal(err)
	}

	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	if err := store.Save(t.Context(), record("billing")); !fault.Is(err, "STORE_FAILED") {
		t.Errorf("got %v", err)
	}
}
