package postgres_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/services/contextstore/postgres"
	"github.com/serinhq/serin/services/contextstore/storetest"
)

// TestVectorsAreOptional: a server without pgvector is good enough, and whoever migrates or starts is told what is missing.
func TestVectorsAreOptional(t *testing.T) {
	t.Parallel()

	server := testenv.SharedPostgres(t)
	at := server.Database(t, "")

	if available(t, at) {
		t.Skip("this server has pgvector")
	}

	for _, dryRun := range []bool{true, false, false} {
		done, err := postgres.Migrate(t.Context(), at, dryRun)
		if err != nil || done.Vectors.Kept || done.Vectors.Added ||
			done.Vectors.Problem != "the server has no pgvector: install pgvector and run serin migrate again" {
			t.Errorf("dry run %v: %+v, %v", dryRun, done, err)
		}
	}

	var log bytes.Buffer

	openWith(t, postgres.Config{URL: at, Logger: slog.New(slog.NewTextHandler(&log, nil))})

	if want := "memories are found by words alone: the server has no pgvector: install pgvector and run"; !strings.Contains(log.String(), want) {
		t.Errorf("the log says %q, want %q", log.String(), want)
	}
}

func available(t *testing.T, at string) (has bool) {
	t.Helper()

	conn := connection(t, at)
	if err := conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'vector')").
		Scan(&has); err != nil {
		t.Fatal(err)
	}

	return has
}

func connection(t *testing.T, at string) *pgx.Conn {
	t.Helper()

	conn := must(pgx.Connect(t.Context(), at))
	t.Cleanup(func() { conn.Close(context.Background()) })

	return conn
}

// TestVectors runs what is about memories on a server with pgvector, as a user that is no superuser.
func TestVectors(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts a PostgreSQL in WebAssembly")
	}

	at := testenv.PGLite(t)
	execute(t, at, "CREATE ROLE "+testenv.PostgresRole, "GRANT CREATE ON SCHEMA public TO "+testenv.PostgresRole)

	defer execute(t, at, "RESET ROLE")

	t.Run("NotAllowed", func(t *testing.T) { vectorsAreNotAllowed(t, at) })
	execute(t, at, "RESET ROLE", "CREATE EXTENSION vector", "SET ROLE "+testenv.PostgresRole) // as the hint says
	t.Run("AddedLater", func(t *testing.T) { vectorsAreAddedLater(t, at) })
	t.Run("Tenants", func(t *testing.T) { vectorsAreOfTheirTenant(t, at) })
	storetest.RunMemories(t, opener(t, at))
}

// vectorsAreNotAllowed: the extension is there, and the user may not make it.
func vectorsAreNotAllowed(t *testing.T, at string) {
	t.Helper()
	execute(t, at, "SET ROLE "+testenv.PostgresRole)

	dry, err := postgres.Migrate(t.Context(), at, true)
	if err != nil || !dry.Vectors.Kept || !dry.Vectors.Added || len(dry.Applied) == 0 {
		t.Errorf("a dry run: %+v, %v", dry, err)
	}

	done, err := postgres.Migrate(t.Context(), at, false)
	if err != nil || done.Vectors.Kept || !strings.Contains(done.Vectors.Problem, "have a superuser run CREATE EXTENSION vector") {
		t.Errorf("a migration: %+v, %v", done, err)
	}
}

// vectorsAreAddedLater: a process that runs uses them from then on, and keeps what it has.
func vectorsAreAddedLater(t *testing.T, at string) {
	t.Helper()

	replica := replicaOf(t, postgres.Config{URL: at})
	remember := func(id string) string {
		created, err := replica.CreateMemory(peer(t.Context(), rpc.Gateway), &contextv1.CreateMemoryRequest{
			Owner:    &contextv1.CreateMemoryRequest_Person{Person: &contextv1.Person{Tenant: "acme", User: "ada"}},
			MemoryId: id, Text: "prefers tea", Embedding: &contextv1.Embedding{Model: "m", Vector: []float32{1, 2}},
		})
		if err != nil {
			t.Fatal(err)
		}

		return created.GetMemory().GetEmbeddingModel()
	}

	if got := remember("before"); got != "" {
		t.Errorf("a vector of %s was kept without the extension", got)
	}

	for i := range 2 {
		done, err := postgres.Migrate(t.Context(), at, false)
		if err != nil || !done.Vectors.Kept || done.Vectors.Added != (i == 0) || done.Vectors.Problem != "" || len(done.Applied) > 0 {
			t.Errorf("migration %d: %+v, %v", i, done, err)
		}
	}

	if got := remember("after"); got != "m" {
		t.Errorf("the vector was not kept: its model is %q", got)
	}

	found, err := replica.SearchMemories(peer(t.Context(), rpc.Gateway), &contextv1.SearchMemoriesRequest{
		Owner: &contextv1.SearchMemoriesRequest_Person{Person: &contextv1.Person{Tenant: "acme", User: "ada"}},
		Query: "tea", Embedding: &contextv1.Embedding{Model: "m", Vector: []float32{1, 2}},
	})
	if err != nil || len(found.GetMemories()) != 2 || found.GetMemories()[0].GetMemory().GetMemoryId() != "after" {
		t.Errorf("found %v, %v", found, err)
	}
}

// vectorsAreOfTheirTenant: by SQL, as the very user that owns the table.
func vectorsAreOfTheirTenant(t *testing.T, at string) {
	t.Helper()

	conn := connection(t, at)
	defer execute(t, at, "RESET serin.tenant")

	for tenant, want := range map[string]int64{"acme": 1, "other": 0, "": 0} {
		if _, err := conn.Exec(t.Context(), "SELECT set_config('serin.tenant', $1, false)", tenant); err != nil {
			t.Fatal(err)
		}

		var rows int64
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM memory_vectors").Scan(&rows); err != nil || rows != want {
			t.Errorf("tenant %q sees %d vectors, %v", tenant, rows, err)
		}

		changed, err := conn.Exec(t.Context(), "UPDATE memory_vectors SET model = 'm'")
		if err != nil || changed.RowsAffected() != want {
			t.Errorf("tenant %q changes %d vectors, %v", tenant, changed.RowsAffected(), err)
		}
	}

	_, err := conn.Exec(t.Context(), `INSERT INTO memory_vectors (position, tenant, user_name, model, dimensions, expires_at, vector)
		SELECT max(position), 'other', 'eve', 'm', 2, 0, '[1,2]' FROM memories`)
	if err == nil {
		t.Error("a vector was made for another tenant")
	}
}
