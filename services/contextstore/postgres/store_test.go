package postgres_test

import (
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/postgres"
	"github.com/serinhq/serin/services/contextstore/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		testenv.StopPostgres()
		os.Exit(code)
	}))
}

// template is the name of a database with the schema, which is copied for each test.
var template struct {
	sync.Once

	name string
}

// database makes a database with the schema and returns its URL.
func database(tb testing.TB) string {
	tb.Helper()

	server := testenv.SharedPostgres(tb)
	template.Do(func() {
		template.name = server.NewName()
		server.CreateDatabase(tb, template.name, "")

		if _, err := postgres.Migrate(tb.Context(), server.URLOf(tb, template.name, testenv.PostgresRole), false); err != nil {
			tb.Fatal(err)
		}
	})

	return server.Database(tb, template.name)
}

// opener opens one database for test after test, each of which finds it empty, over the same connections: that is much faster
// than one for each.
func opener(tb testing.TB, at string) storetest.Open {
	tb.Helper()

	first := openWith(tb, postgres.Config{URL: at})

	return func(tb testing.TB) contextstore.Store {
		tb.Helper()
		execute(tb, at, `SET serin.all_tenants = 'on'`, `DELETE FROM events; DELETE FROM requests; DELETE FROM pins;
			DELETE FROM calls; DELETE FROM turns; DELETE FROM checkpoints; DELETE FROM shared_state; DELETE FROM withdrawals;
			DELETE FROM outcomes; DELETE FROM conversations`, `SELECT setval(pg_get_serial_sequence('outcomes', 'position'), 1, false)`)

		store := first.Beside()
		tb.Cleanup(func() {
			if err := store.Close(); err != nil {
				tb.Error(err)
			}
		})

		return store
	}
}

func openWith(tb testing.TB, config postgres.Config) *postgres.Store {
	tb.Helper()

	store, err := postgres.Open(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}

	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	})

	return store
}

func TestStore(t *testing.T) { storetest.Run(t, opener(t, database(t))) }
