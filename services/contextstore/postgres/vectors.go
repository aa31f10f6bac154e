package postgres

import (
	"cmp"
	"context"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Vectors says whether a database keeps the vectors of memories, which needs pgvector. It is no migration with a number: it
// may become possible, or wanted, at any time, and each serin migrate looks again.
type Vectors struct {
	// Kept says that they are: memories are found by words and by vectors.
	Kept bool `json:"kept"`
	// Added says that they are from now on; that they would be, in a dry run.
	Added bool `json:"added"`
	// Problem is why they are not, with what to do; else empty.
	Problem string `json:"problem,omitempty"`
}

const (
	howToGetVectors = "install pgvector and run serin migrate again"

	// makeVectors makes the table for vectors. Their number of dimensions is each model's own. There is no index of them: one
	// user's are few, and are all looked at.
	makeVectors = `CREATE TABLE IF NOT EXISTS memory_vectors (
		position   BIGINT           NOT NULL PRIMARY KEY REFERENCES memories (position) ON DELETE CASCADE,
		tenant     TEXT COLLATE "C" NOT NULL DEFAULT COALESCE(current_setting('serin.tenant', true), ''),
		user_name  TEXT COLLATE "C" NOT NULL,
		model      TEXT COLLATE "C" NOT NULL,
		dimensions INTEGER          NOT NULL,
		expires_at BIGINT           NOT NULL,
		vector     VECTOR           NOT NULL
	);
	CREATE INDEX memory_vectors_by_kind ON memory_vectors (tenant, user_name, model, dimensions, position);
	ALTER TABLE memory_vectors ENABLE ROW LEVEL SECURITY;
	ALTER TABLE memory_vectors FORCE ROW LEVEL SECURITY;
	CREATE POLICY tenants ON memory_vectors USING (CASE
		WHEN current_setting('serin.all_tenants', true) = 'on' THEN true
		ELSE tenant = current_setting('serin.tenant', true) END)`
)

// migrateVectors adds what keeps vectors if it can, or with dryRun says whether it would.
func migrateVectors(ctx context.Context, settings *pgx.ConnConfig, dryRun bool) (Vectors, error) {
	conn, err := pgx.ConnectConfig(ctx, settings.Copy())
	if err != nil {
		return Vectors{}, err //nolint:wrapcheck // see opening
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost

	found, err := vectorsOf(ctx, conn)
	if err != nil || found.Kept || found.Problem != "" {
		return found, err
	}

	if dryRun {
		return Vectors{Kept: true, Added: true}, nil
	}

	return addVectors(ctx, conn)
}

// vectorsOf says what there is: vectors, a problem, or neither if the extension is there to be used.
func vectorsOf(ctx context.Context, conn *pgx.Conn) (found Vectors, err error) {
	var available bool

	err = conn.QueryRow(ctx, `SELECT to_regclass('memory_vectors') IS NOT NULL,
		EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'vector')`).Scan(&found.Kept, &available)
	if err == nil && !found.Kept && !available {
		found.Problem = "the server has no pgvector: " + howToGetVectors
	}

	return found, err //nolint:wrapcheck // see opening
}

// tellVectors logs, once at start, if memories are found by words alone.
func tellVectors(ctx context.Context, conn *pgx.Conn, logger *slog.Logger) error {
	found, err := vectorsOf(ctx, conn)
	if err != nil || found.Kept {
		return err
	}

	logger.WarnContext(ctx, "memories are found by words alone: "+cmp.Or(found.Problem, "run serin migrate, which adds vectors"))

	return nil
}

// addVectors makes the extension and the table. That it may not is no error: there are words.
func addVectors(ctx context.Context, conn *pgx.Conn) (Vectors, error) {
	if _, err := conn.Exec(ctx, "SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0"); err != nil {
		return Vectors{}, err //nolint:wrapcheck // see opening
	}

	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1, $2)", lockSpace, lockMigrations); err != nil {
		return Vectors{}, err //nolint:wrapcheck // as above
	}

	found, err := vectorsOf(ctx, conn) // another process may have been faster
	if err != nil || found.Kept {
		return found, err
	}

	_, err = conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS vector;\n"+makeVectors) // one transaction

	switch codeOf(err) {
	case "":
		return Vectors{Kept: err == nil, Added: err == nil}, err //nolint:wrapcheck // as above
	case insufficientPrivilege:
		return Vectors{Problem: "user " + conn.Config().User + " may not make the extension vector: have a superuser run " +
			"CREATE EXTENSION vector in this database, and run serin migrate again"}, nil
	case undefinedObject:
		return Vectors{Problem: "the extension vector is in a schema that is not on the search_path: move it (ALTER EXTENSION " +
			"vector SET SCHEMA public), and run serin migrate again"}, nil
	default:
		return Vectors{Problem: "the extension vector can't be used (" + strings.Join(strings.Fields(err.Error()), " ") +
			"): mend that, and run serin migrate again"}, nil
	}
}

// undefinedObject is PostgreSQL's code for a type that is not there.
const undefinedObject = "42704"
