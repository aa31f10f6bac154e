package retriever

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/pressly/goose/v3"
	"google.golang.org/grpc/codes"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/serinhq/serin/internal/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// index is the SQLite file.
type index struct {
	db *sql.DB
	// writing is held by whoever writes: SQLite has one writer.
	writing sync.Mutex
}

// Why an index is made anew, beside what SQLite itself says.
var (
	errFuture  = errors.New("it is of a later release")
	errDamaged = errors.New("it is damaged")
)

// openIndex opens the file, or makes it. One that can't be used is put aside: its path gets .unusable behind it.
func openIndex(ctx context.Context, path string, logger *slog.Logger) (*index, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, notWritable(path, err)
	}

	made, err := tryIndex(ctx, path)
	if err == nil {
		return made, nil
	}

	if code := codeOf(err); code != lib.SQLITE_CORRUPT && code != lib.SQLITE_NOTADB &&
		!errors.Is(err, errFuture) && !errors.Is(err, errDamaged) {
		return nil, notWritable(path, err)
	}

	logger.WarnContext(ctx, "the index can't be used and is made anew", "path", path, "error", err)

	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, path+suffix+".unusable"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, notWritable(path, err)
		}
	}

	if made, err = tryIndex(ctx, path); err != nil {
		return nil, notWritable(path, err)
	}

	return made, nil
}

func notWritable(path string, err error) error {
	return fault.New(codes.FailedPrecondition, "DATA_NOT_WRITABLE", "the index %s can't be used: %w", path, err)
}

func tryIndex(ctx context.Context, path string) (*index, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator's path
	if err == nil {
		err = file.Close()
	}

	if err != nil {
		return nil, fmt.Errorf("open it: %w", err)
	}

	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return nil, fmt.Errorf("open it: %w", err)
	}

	db.SetMaxOpenConns(4)

	err = migrate(ctx, db)
	if err == nil {
		err = check(ctx, db)
	}

	if err != nil {
		return nil, errors.Join(err, db.Close())
	}

	return &index{db: db}, nil
}

// dsn names the file and how every connection treats it: the index can be lost, so that no commit waits for the disk.
func dsn(path string) string {
	query := url.Values{
		"_busy_timeout": {"5000"},
		"_foreign_keys": {"on"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"NORMAL"},
		"_pragma":       {"cache_size(-4096)", "wal_autocheckpoint(1000)", "temp_store(MEMORY)"},
	}

	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
}

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
		return fmt.Errorf("its schema is version %d, this program knows %d: %w", current, target, errFuture)
	}

	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the schema: %w", err)
	}

	return nil
}

// check has SQLite look for damage; the index is small enough.
func check(ctx context.Context, db *sql.DB) error {
	var word string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&word); err != nil {
		return fmt.Errorf("check it: %w", err)
	}

	if word != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, word)
	}

	return nil
}

// codeOf returns SQLite's primary result code, or 0.
func codeOf(err error) int {
	if own, ok := errors.AsType[*sqlite.Error](err); ok {
		return own.Code() & 0xff
	}

	return 0
}

func (x *index) close() error {
	if err := x.db.Close(); err != nil {
		return fmt.Errorf("close the index: %w", err)
	}

	return nil
}

// ping reads from the file.
func (x *index) ping(ctx context.Context) error {
	var one int
	if err := x.db.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM documents LIMIT 1)").Scan(&one); err != nil {
		return fmt.Errorf("read the index: %w", err)
	}

	return nil
}

// update runs fn in a transaction.
func (x *index) update(ctx context.Context, fn func(*sql.Tx) error) error {
	x.writing.Lock()
	defer x.writing.Unlock()

	tx, err := x.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("write the index: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing is left of it after a commit

	if err := fn(tx); err != nil {
		return err
	}

	if err := tx.Commit(); err != nil {
		return fmt.Errorf("write the index: %w", err)
	}

	return nil
}
