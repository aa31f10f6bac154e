package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/sqlite"
	"github.com/serinhq/serin/services/contextstore/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// template is a database with the schema, which is copied for each test: to make one takes longer than most tests.
var template = sync.OnceValues(func() ([]byte, error) {
	directory, err := os.MkdirTemp("", "serin-sqlite-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(directory)

	path := filepath.Join(directory, "context.db")

	store, err := sqlite.Open(context.Background(), sqlite.Config{Path: path, Readers: 1})
	if err != nil {
		return nil, err
	}

	if err := store.Close(); err != nil {
		return nil, err
	}

	return os.ReadFile(path)
})

func open(tb testing.TB) contextstore.Store {
	tb.Helper()

	empty, err := template()
	if err != nil {
		tb.Fatal(err)
	}

	path := filepath.Join(tb.TempDir(), "context.db")
	if err := os.WriteFile(path, empty, 0o600); err != nil {
		tb.Fatal(err)
	}

	return openAt(tb, path)
}

func openAt(tb testing.TB, path string) *sqlite.Store {
	tb.Helper()

	store, err := sqlite.Open(tb.Context(), sqlite.Config{Path: path, Readers: 2})
	if err != nil {
		tb.Fatal(err)
	}

	return store
}

func TestStore(t *testing.T) { storetest.Run(t, open) }

func TestStoreRunsFunctionsAgain(t *testing.T) { storetest.RunTwice(t, open) }
