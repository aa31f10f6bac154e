package postgres_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/postgres"
	"github.com/serinhq/serin/services/contextstore/storetest"
)

const password = "hunter2"

// TestOpenSaysWhatIsWrong: in one line, with what to do, and without the password.
func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()

	server := testenv.SharedPostgres(t)
	empty := server.Database(t, "")

	newer := database(t)
	execute(t, newer, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, true)",
		"UPDATE serin_schema SET runs_from = 4711")

	tests := map[string]struct {
		at     string
		code   codes.Code
		reason string
		says   string
	}{
		"nothing": {"", codes.InvalidArgument, "INVALID", "must be a URL such as postgres://"},
		"no URL": {
			"postgres://serin:" + password + "@localhost:port/db", codes.InvalidArgument, "INVALID", "must be a URL such as",
		},
		"nobody listens": {
			"postgres://serin:" + password + "@" + testenv.FreePort(t) + "/db",
			codes.Unavailable, "DATABASE_UNREACHABLE", "start it, or correct the URL",
		},
		"no database": {
			server.URLOf(t, "serin_test_missing", testenv.PostgresRole),
			codes.FailedPrecondition, "DATABASE_MISSING", "createdb serin_test_missing",
		},
		"no schema": {empty, codes.FailedPrecondition, "SCHEMA_TOO_OLD", "run serin migrate"},
		"too new":   {newer, codes.FailedPrecondition, "SCHEMA_TOO_NEW", "run the newer release"},
	}

	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			store, err := postgres.Open(t.Context(), postgres.Config{URL: test.at, Patience: 100 * time.Millisecond})
			if err == nil {
				store.Close()
				t.Fatal("it was opened")
			}

			refused(t, err, test.code, test.reason, test.says)
		})
	}
}

// TestPermissions: a user who may log in and nothing else is told what is missing, and one with a wrong password that.
func TestPermissions(t *testing.T) {
	t.Parallel()

	server := testenv.SharedPostgres(t)
	if !strings.Contains(server.URL, "postgres@127.0.0.1") {
		t.Skip("the server that " + testenv.PostgresVariable + " names has rules of its own")
	}

	name := strings.TrimPrefix(must(url.Parse(database(t))).Path, "/")
	at := must(url.Parse(server.URLOf(t, name, testenv.PostgresLockedRole)))

	at.User = url.UserPassword(testenv.PostgresLockedRole, password)
	_, err := postgres.Open(t.Context(), postgres.Config{URL: at.String()})
	refused(t, err, codes.FailedPrecondition, "DATABASE_DENIED", "correct the user or the password")

	at.User = url.UserPassword(testenv.PostgresLockedRole, testenv.PostgresPassword)
	_, err = postgres.Open(t.Context(), postgres.Config{URL: at.String()})
	refused(t, err, codes.FailedPrecondition, "NO_PERMISSION", "GRANT what is missing")

	at.Path = must(url.Parse(server.Database(t, ""))).Path
	_, err = postgres.Migrate(t.Context(), at.String(), false)
	refused(t, err, codes.FailedPrecondition, "NO_PERMISSION", "GRANT what is missing")
}

func refused(t *testing.T, err error, code codes.Code, reason, says string) {
	t.Helper()

	if told := fault.From(err); told.Code != code || told.Reason != reason {
		t.Errorf("got %s %s (%v), want %s %s", told.Code, told.Reason, err, code, reason)
	}

	if text := err.Error(); strings.Contains(text, "\n") || strings.Contains(text, password) || !strings.Contains(text, says) {
		t.Errorf("%q: want one line without the password that says %q", text, says)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}

	return value
}

// TestMigrate: a dry run changes nothing, several at once are no harm, and what is done is not done again.
func TestMigrate(t *testing.T) {
	t.Parallel()

	at := testenv.SharedPostgres(t).Database(t, "")

	for range 2 {
		done, err := postgres.Migrate(t.Context(), at, true)
		if err != nil || !done.DryRun || done.From != 0 || done.To < 1 || len(done.Applied) < 1 || done.Applied[0] != "00001_first_light.sql" {
			t.Fatalf("a dry run of an empty database: %+v, %v", done, err)
		}

		if strings.Contains(done.Database, "@") || !strings.HasPrefix(done.Database, "PostgreSQL database ") {
			t.Errorf("it is called %q", done.Database)
		}
	}

	var (
		group   sync.WaitGroup
		applied [4]int
	)

	for i := range applied {
		group.Go(func() {
			done, err := postgres.Migrate(t.Context(), at, false)
			if err != nil {
				t.Error(err)
			}

			applied[i] = len(done.Applied)
		})
	}

	group.Wait()

	did := 0

	for _, count := range applied {
		if count > 0 {
			did++
		}
	}

	if did != 1 {
		t.Errorf("of four at once, %d migrated", did)
	}

	done, err := postgres.Migrate(t.Context(), at, false)
	if err != nil || len(done.Applied) != 0 || done.From != done.To {
		t.Errorf("once more: %+v, %v", done, err)
	}

	openWith(t, postgres.Config{URL: at})
}

// TestOpenMigrates: where it is asked to.
func TestOpenMigrates(t *testing.T) {
	t.Parallel()

	store := openWith(t, postgres.Config{URL: testenv.SharedPostgres(t).Database(t, ""), Migrate: true})
	if err := store.View(t.Context(), contextstore.About{}, func(reader contextstore.Reader) error {
		_, err := reader.LastOutcome()

		return err
	}); err != nil {
		t.Error(err)
	}
}

// TestTheReleaseBeforeRunsOnTheNextSchema: what migrations may do (add tables, columns with defaults, and indexes) is
// nothing that this release stumbles over: it passes a part of the suite on a schema of the future.
func TestTheReleaseBeforeRunsOnTheNextSchema(t *testing.T) {
	at := testenv.SharedPostgres(t).Database(t, "")
	if _, err := postgres.Migrate(t.Context(), at, false); err != nil {
		t.Fatal(err)
	}

	statements := []string{"INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, true)", "CREATE TABLE memories (id BIGINT)"}
	for _, table := range []string{
		"conversations", "events", "requests", "pins", "turns", "calls", "checkpoints", "shared_state", "withdrawals", "outcomes",
	} {
		statements = append(statements, "ALTER TABLE "+table+" ADD COLUMN of_the_future TEXT NOT NULL DEFAULT 'x'",
			"CREATE INDEX ON "+table+" (of_the_future)")
	}

	execute(t, at, statements...)

	storetest.RunBriefly(t, opener(t, at))
}

// TestASuperuserIsToldThatTenantsAreNotApart: row-level security does not hold for one.
func TestASuperuserIsToldThatTenantsAreNotApart(t *testing.T) {
	t.Parallel()

	server := testenv.SharedPostgres(t)
	if !strings.Contains(server.URL, "postgres@127.0.0.1") {
		t.Skip("the administrator of " + testenv.PostgresVariable + " need not be a superuser")
	}

	name := strings.TrimPrefix(must(url.Parse(database(t))).Path, "/")

	var log bytes.Buffer

	openWith(t, postgres.Config{
		URL: server.URLOf(t, name, "postgres"), Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})

	if !strings.Contains(log.String(), "row-level security does not keep tenants apart") {
		t.Errorf("the log says %q", log.String())
	}
}

func TestClosedStoreSaysSo(t *testing.T) {
	t.Parallel()

	store := openWith(t, postgres.Config{URL: database(t)})

	for range 2 {
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}

	err := store.Update(t.Context(), contextstore.About{}, func(contextstore.Tx) error { return nil })
	if !fault.Is(err, "STORE_CLOSED") {
		t.Errorf("Update: got %v", err)
	}

	err = store.View(t.Context(), contextstore.About{}, func(contextstore.Reader) error { return nil })
	if !fault.Is(err, "STORE_CLOSED") {
		t.Errorf("View: got %v", err)
	}
}

// TestOpenDoesNotWaitForever: a server that takes connections and says nothing is one that can't be reached.
func TestOpenDoesNotWaitForever(t *testing.T) {
	t.Parallel()

	silent := silentServer(t)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	began := time.Now()
	_, err := postgres.Open(ctx, postgres.Config{URL: "postgres://serin@" + silent + "/serin?connect_timeout=1&sslmode=disable"})
	refused(t, err, codes.Unavailable, "DATABASE_UNREACHABLE", "can't be reached")

	if took := time.Since(began); took > patience/2 {
		t.Errorf("it took %s", took)
	}
}
