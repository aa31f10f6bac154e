package testenv

import (
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
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

// TestPostgresIsNamedWhereItIsMissing: the line says what to install.
func TestPostgresIsNamedWhereItIsMissing(t *testing.T) {
	if _, err := postgresBinaries(); err == nil {
		t.Skip("PostgreSQL is installed here")
	}

	if how := string(ending(func(tb testing.TB) { Require(tb, "postgres") })); !strings.Contains(how, "apt-get install postgresql") {
		t.Errorf("ended: %s", how)
	}
}
