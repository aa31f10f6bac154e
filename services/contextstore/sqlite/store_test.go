package sqlite_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/sqlite"
	"github.com/serinhq/serin/services/contextstore/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(tb testing.TB) contextstore.Store {
	tb.Helper()

	return openAt(tb, filepath.Join(tb.TempDir(), "context.db"))
}

func openAt(tb testing.TB, path string) *sqlite.Store {
	tb.Helper()

	store, err := sqlite.Open(tb.Context(), sqlite.Config{Path: path})
	if err != nil {
		tb.Fatal(err)
	}

	return store
}

func TestStore(t *testing.T) { storetest.Run(t, open) }

func TestStoreRunsFunctionsAgain(t *testing.T) { storetest.RunTwice(t, open) }
