package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	"google.golang.org/grpc/codes"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/serinhq/serin/internal/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// prepare makes the directory and the file, so that both belong to their owner alone.
func prepare(path string) error {
	if path == "" {
		return fault.New(codes.FailedPrecondition, "DATA_NOT_WRITABLE", "the database needs a path")
	}

	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		var file *os.File
		if file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err == nil { //nolint:gosec // the operator's path
			err = file.Close()
		}
	}

	if err != nil {
		return notWritable(path, err)
	}

	return nil
}

// dsn names the file and how every connection treats it.
func dsn(path string) string {
	query := url.Values{
		"_busy_timeout": {"5000"},
		"_foreign_keys": {"on"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"NORMAL"},
		// 8 MiB of memory, 16 MiB of WAL, and no files elsewhere: a container need not have a directory for them.
		"_pragma": {"cache_size(-8192)", "wal_autocheckpoint(4000)", "temp_store(MEMORY)"},
	}

	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
}

// migrate brings the schema up to date, and refuses one that is from the future.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("embedded migrations: %w", err)
	}

	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}

	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}

	if current > target {
		return fault.New(codes.FailedPrecondition, "SCHEMA_TOO_NEW",
			"its schema is version %d, this program knows %d: run the newer release, or another data directory",
			current, target)
	}

	if current == target {
		return nil
	}

	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the schema: %w", err)
	}

	return nil
}

// opening names the file in an error of Open, in one line.
func opening(path string, err error) error {
	if known, ok := errors.AsType[*fault.Error](err); ok {
		return fault.New(known.Code, known.Reason, "context store %s: %w", path, err)
	}

	switch codeOf(err) {
	case lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN, lib.SQLITE_PERM:
		return notWritable(path, err)
	case lib.SQLITE_NOTADB, lib.SQLITE_CORRUPT:
		return fault.New(codes.FailedPrecondition, "DATABASE_DAMAGED", "context store %s is not a usable database: %w",
			path, err)
	default:
		return fault.New(codes.FailedPrecondition, "DATABASE_UNUSABLE", "context store %s: %w", path, err)
	}
}

func notWritable(path string, err error) error {
	return fault.New(codes.FailedPrecondition, "DATA_NOT_WRITABLE", "context store %s can't be written: %w", path, err)
}

// failed turns an error of SQLite into a fault.
func failed(err error) error {
	if known, ok := errors.AsType[*fault.Error](err); ok {
		return known
	}

	switch codeOf(err) {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return fault.New(codes.Unavailable, "STORE_BUSY", "the database is locked by another process: %w", err)
	case lib.SQLITE_FULL:
		return fault.New(codes.ResourceExhausted, "DISK_FULL", "the database can't grow: %w", err)
	default:
		return fault.New(codes.Internal, "STORE_FAILED", "the database failed: %w", err)
	}
}

// codeOf returns SQLite's primary result code, or 0.
func codeOf(err error) int {
	if own, ok := errors.AsType[*sqlite.Error](err); ok {
		return own.Code() & 0xff
	}

	return 0
}
