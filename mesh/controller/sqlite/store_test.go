package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/controller"
	"github.com/serinhq/serin/mesh/controller/sqlite"
	"github.com/serinhq/serin/mesh/controller/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

// file is a store's place.
type file string

func (f file) Open(t *testing.T) controller.Store {
	t.Helper()

	return open(t, string(f))
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place {
		t.Helper()

		return file(filepath.Join(t.TempDir(), "deep", "rollouts.db"))
	})
}

func TestHistoryIsBounded(t *testing.T) {
	store := open(t, filepath.Join(t.TempDir(), "rollouts.db"))
	many := make([]controller.HistoryEntry, 1500)

	if err := store.Save(t.Context(), storetest.Record("billing"), many...); err != nil {
		t.Fatal(err)
	}

	if got, err := store.History(t.Context(), "billing", 0, 2000); err != nil || len(got) != 1000 {
		t.Errorf("%d are kept, %v", len(got), err)
	}
}

func TestNumbers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "rollouts.db")
	store := open(t, path)

	if position, numbers, err := store.LoadNumbers(t.Context()); err != nil || position != 0 || len(numbers) != 0 {
		t.Errorf("numbers before any: %d, %v, %v", position, numbers, err)
	}

	for position, numbers := range []map[string][]byte{{"billing": {1}, "triage": {2}}, {"billing": {3}}} {
		if err := store.SaveNumbers(t.Context(), int64(position+4), numbers); err != nil {
			t.Fatal(err)
		}
	}

	for _, reader := range []*sqlite.Store{store, open(t, path)} {
		position, numbers, err := reader.LoadNumbers(t.Context())
		if err != nil || position != 5 || !reflect.DeepEqual(numbers, map[string][]byte{"billing": {3}, "triage": {2}}) {
			t.Errorf("numbers: %d, %v, %v", position, numbers, err)
		}
	}
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

	if err := store.Save(t.Context(), storetest.Record("billing")); !fault.Is(err, "STORE_FAILED") {
		t.Errorf("got %v", err)
	}
}
