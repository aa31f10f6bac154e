package testenv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestPostgres starts a real server, makes databases, and restarts it either way.
func TestPostgres(t *testing.T) {
	server := OwnPostgres(t)

	first := server.Database(t, "")
	if second := server.Database(t, ""); second == first {
		t.Fatalf("two tests got %s", first)
	}

	for _, shutdown := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		if err := server.Restart(shutdown); err != nil {
			t.Fatal(err)
		}
	}

	conn, err := pgx.Connect(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())

	var super bool
	if err := conn.QueryRow(t.Context(), "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user").
		Scan(&super); err != nil || super {
		t.Errorf("tests run as a superuser: %v, %v", super, err)
	}
}

// TestPostgresFaults: sessions end, new ones find no room, and after each fault the server serves as before.
func TestPostgresFaults(t *testing.T) {
	server := OwnPostgres(t, "max_connections=12")
	database := server.Database(t, "")

	answers := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()

		return execute(ctx, database, "SELECT 1")
	}

	crowded := make(chan error, 1)

	go func() {
		held, err := server.Crowd(t.Context(), database, time.Second)
		if err == nil && held < 5 {
			err = fmt.Errorf("it held %d connections", held)
		}

		crowded <- err
	}()

	for deadline := time.Now().Add(postgresPatience); ; {
		err := answers()
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "53300" {
			break
		}

		if time.Now().After(deadline) {
			t.Fatalf("with all connections taken: %v", err)
		}
	}

	if err := <-crowded; err != nil {
		t.Error(err)
	}

	paused := make(chan error, 1)

	go func() { paused <- server.Pause(400 * time.Millisecond) }()

	for deadline := time.Now().Add(postgresPatience); answers() == nil; {
		if time.Now().After(deadline) {
			t.Fatal("it answers while it is stopped")
		}
	}

	if err := errors.Join(<-paused, execute(t.Context(), database, "SELECT 1")); err != nil {
		t.Error(err)
	}
}

// TestPostgresIsNamedWhereItIsMissing: the line says what to install.
func TestPostgresIsNamedWhereItIsMissing(t *testing.T) {
	if _, err := postgresBinaries(); err == nil {
		t.Skip("PostgreSQL is installed here")
	}

	if how := string(ending(func(tb testing.TB) { Require(tb, "postgres") })); !strings.Contains(how, "apt-get install postgresql") {
		t.Errorf("ended: %s", how)
	}
}
