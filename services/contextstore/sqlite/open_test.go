package sqlite_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/sqlite"
)

// refuses fails the test unless a path can't be opened, for the reason, in one line that names the path.
func refuses(t *testing.T, path, reason string) {
	t.Helper()

	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err == nil {
		_ = store.Close()

		t.Fatalf("%s was opened", path)
	}

	told := fault.From(err)
	if told.Code != codes.FailedPrecondition || told.Reason != reason {
		t.Errorf("got %s %s (%v), want FAILED_PRECONDITION %s", told.Code, told.Reason, err, reason)
	}

	if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), path) {
		t.Errorf("%q is not one line that names %s", err, path)
	}
}

func TestOpenRefusesWhatItCantWrite(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")

	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	refuses(t, filepath.Join(file, "context.db"), "DATA_NOT_WRITABLE") // its directory is a file
	refuses(t, dir, "DATA_NOT_WRITABLE")                               // it is a directory

	if os.Getuid() == 0 {
		return // root may write anywhere
	}

	locked := filepath.Join(dir, "locked")
	if err := os.Mkdir(locked, 0o500); err != nil {
		t.Fatal(err)
	}

	refuses(t, filepath.Join(locked, "context.db"), "DATA_NOT_WRITABLE")
}

func TestOpenRefusesForeignFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "context.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database. ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}

	refuses(t, path, "DATABASE_DAMAGED")
}

func TestOpenRefusesNewerSchemas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "context.db")
	if err := openAt(t, path).Close(); err != nil {
		t.Fatal(err)
	}

	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}

	if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, 1)"); err != nil {
		t.Fatal(err)
	}

	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	refuses(t, path, "SCHEMA_TOO_NEW")
}

func TestOpenMakesAPrivateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c#d%e", "context.db") // a path needs escaping in SQLite's URIs
	store := openAt(t, path)

	for _, name := range []string{path, path + "-wal"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}

		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, got)
		}
	}

	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	if err := openAt(t, path).Close(); err != nil { // and opens again
		t.Fatal(err)
	}
}

func TestClosedStoreSaysSo(t *testing.T) {
	store := open(t)

	for range 2 {
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}

	err := store.Update(t.Context(), contextstore.About{}, func(contextstore.Tx) error { return nil })
	if !fault.Is(err, "STORE_CLOSED") {
		t.Errorf("Update: got %v", err)
	}

	if err := store.View(t.Context(), contextstore.About{}, func(contextstore.Reader) error { return nil }); !fault.Is(err, "STORE_CLOSED") {
		t.Errorf("View: got %v", err)
	}
}
