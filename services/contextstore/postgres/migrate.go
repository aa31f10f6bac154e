package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// lockMigrations is held while the schema changes, beside those of transactions.
const lockMigrations = 3

// Migrated is what a migration came to.
type Migrated struct {
	// Database is named without its password.
	Database string `json:"database"`
	// From and To are schema versions; 0 is an empty database.
	From int64 `json:"from"`
	To   int64 `json:"to"`
	// Applied are the names of the migrations between them, in order; those that would be, in a dry run.
	Applied []string `json:"applied"`
	DryRun  bool     `json:"dry_run"`
	// BypassesRowSecurity says that the user is one for whom tenants are not kept apart by the database.
	BypassesRowSecurity bool `json:"bypasses_row_security"`
}

// Migrate brings a database's schema up to date, or with dryRun says what there is to do and changes nothing. A server that
// takes no connections for now is waited for, one that is not there is not. Errors: as Open's, but SCHEMA_TOO_OLD.
func Migrate(ctx context.Context, at string, dryRun bool) (Migrated, error) {
	settings, err := parse(at)
	if err != nil {
		return Migrated{}, err
	}

	var done Migrated

	err = reach(ctx, settings.ConnConfig, startPatience, slog.Default(), notYet, func() (err error) {
		done, err = migrate(ctx, settings.ConnConfig, dryRun)

		return err
	})
	if err != nil {
		return Migrated{}, opening(settings.ConnConfig, err)
	}

	done.Database = describe(settings.ConnConfig)

	return done, nil
}

func migrate(ctx context.Context, settings *pgx.ConnConfig, dryRun bool) (done Migrated, err error) {
	conn, err := pgx.ConnectConfig(ctx, settings.Copy())
	if err != nil {
		return Migrated{}, err //nolint:wrapcheck // see opening
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost

	if done, err = pending(ctx, conn, dryRun); err != nil || dryRun || len(done.Applied) == 0 {
		return done, err
	}

	if _, err := conn.Exec(ctx, "SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0"); err != nil {
		return Migrated{}, err //nolint:wrapcheck // see opening
	}

	// Processes that start at once do it one after another.
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1, $2)", lockSpace, lockMigrations); err != nil {
		return Migrated{}, err //nolint:wrapcheck // see opening
	}

	if done, err = pending(ctx, conn, dryRun); err != nil || len(done.Applied) == 0 {
		return done, err
	}

	return done, up(ctx, settings)
}

// pending says what there is to do.
func pending(ctx context.Context, conn *pgx.Conn, dryRun bool) (done Migrated, err error) {
	done = Migrated{DryRun: dryRun, Applied: []string{}}

	if done.BypassesRowSecurity, err = bypassesSecurity(ctx, conn); err != nil {
		return done, err
	}

	current, _, err := schema(ctx, conn)
	if err != nil {
		return done, err
	}

	done.From, done.To = current, current

	sources, err := known()
	if err != nil {
		return done, err
	}

	for _, one := range sources {
		if one.version > current {
			done.Applied, done.To = append(done.Applied, one.name), one.version
		}
	}

	return done, nil
}

// up applies what is pending.
func up(ctx context.Context, settings *pgx.ConnConfig) (err error) {
	own := settings.Copy()
	own.RuntimeParams["idle_in_transaction_session_timeout"] = "0"

	db := stdlib.OpenDB(*own)
	defer func() { err = errors.Join(err, db.Close()) }()

	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("embedded migrations: %w", err)
	}

	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}

	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the schema: %w", err)
	}

	return nil
}

// source is a migration that this program knows.
type source struct {
	name    string
	version int64
}

// known returns this program's migrations in their order.
func known() ([]source, error) {
	entries, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("embedded migrations: %w", err)
	}

	sources := make([]source, 0, len(entries))

	for _, entry := range entries {
		version, err := goose.NumericComponent(entry.Name())
		if err != nil {
			return nil, fmt.Errorf("embedded migrations: %w", err)
		}

		sources = append(sources, source{entry.Name(), version})
	}

	return sources, nil
}

// schema reads the schema's version, and the oldest one whose release runs on it; 0 for an empty database.
func schema(ctx context.Context, conn *pgx.Conn) (version, runsFrom int64, err error) {
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass('goose_db_version') IS NOT NULL").Scan(&exists); err != nil || !exists {
		return 0, 0, err //nolint:wrapcheck // see opening
	}

	err = conn.QueryRow(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&version)
	if err != nil || version == 0 {
		return 0, 0, err //nolint:wrapcheck // see opening
	}

	err = conn.QueryRow(ctx, "SELECT MAX(runs_from) FROM serin_schema").Scan(&runsFrom)

	return version, runsFrom, err //nolint:wrapcheck // see opening
}

// checkSchema refuses a schema that this program can't work with. One that is newer than what it knows is fine unless
// that says otherwise, so that releases can be rolled forward one process at a time.
func checkSchema(ctx context.Context, conn *pgx.Conn) error {
	version, runsFrom, err := schema(ctx, conn)
	if err != nil {
		return err
	}

	sources, err := known()
	if err != nil {
		return err
	}

	needed := sources[len(sources)-1].version

	switch {
	case version < needed:
		return fault.New(codes.FailedPrecondition, "SCHEMA_TOO_OLD",
			"its schema is version %d, this program needs %d: run serin migrate", version, needed)
	case runsFrom > needed:
		return fault.New(codes.FailedPrecondition, "SCHEMA_TOO_NEW",
			"its schema is version %d and needs a program that knows at least %d, this one knows %d: run the newer release",
			version, runsFrom, needed)
	default:
		return nil
	}
}
