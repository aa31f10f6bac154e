// Package sqlite keeps a context store in one SQLite file: WAL, synchronous=NORMAL (what was acknowledged survives the
// death of the process), one connection that writes in group commits, and several that read.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"sync"

	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/commits"
)

// Config says where the store is.
type Config struct {
	// Path of the database file. It and its directory are made if they are missing, readable by their owner only.
	Path string
	// Readers is how many reads run at once; default is the number of CPUs, at least 4.
	Readers int
}

// Store is a [contextstore.Store] in one SQLite file.
type Store struct {
	db      *sql.DB
	writer  *writer
	readers chan *conn
	// connected is how many readers there are.
	connected int
	closing   sync.Once
}

var _ contextstore.Store = (*Store)(nil)

// Open opens the database and brings its schema up to date. Errors: FAILED_PRECONDITION (DATA_NOT_WRITABLE,
// DATABASE_DAMAGED, SCHEMA_TOO_NEW).
func Open(ctx context.Context, config Config) (*Store, error) {
	if err := prepare(config.Path); err != nil {
		return nil, err
	}

	db, err := sql.Open("sqlite", dsn(config.Path))
	if err != nil {
		return nil, opening(config.Path, err)
	}

	readers := config.Readers
	if readers <= 0 {
		readers = max(4, runtime.NumCPU())
	}

	store := &Store{db: db, readers: make(chan *conn, readers)}
	if err := store.start(ctx); err != nil {
		return nil, errors.Join(opening(config.Path, err), store.Close())
	}

	return store, nil
}

// start migrates the schema and makes the connections.
func (s *Store) start(ctx context.Context) error {
	if err := migrate(ctx, s.db); err != nil {
		return err
	}

	first, err := connect(ctx, s.db)
	if err != nil {
		return err
	}

	s.writer = newWriter(first)
	for range cap(s.readers) {
		reader, err := connect(ctx, s.db)
		if err != nil {
			return err
		}

		s.connected++
		s.readers <- reader
	}

	return nil
}

// Update runs fn in a transaction, together with others that wait for the same.
func (s *Store) Update(ctx context.Context, about contextstore.About, fn func(contextstore.Tx) error) error {
	return s.writer.do(ctx, about, fn)
}

// View runs fn on a snapshot.
func (s *Store) View(ctx context.Context, _ contextstore.About, fn func(contextstore.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	select {
	case reader, open := <-s.readers:
		if !open {
			return commits.Closed()
		}

		defer func() { s.readers <- reader }()

		return reader.view(fn) //nolint:contextcheck // see conn
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close waits for what runs and closes the file.
func (s *Store) Close() (err error) {
	s.closing.Do(func() {
		if s.writer != nil {
			err = s.writer.close()
		}

		for range s.connected {
			err = errors.Join(err, (<-s.readers).close())
		}

		close(s.readers)

		err = errors.Join(err, s.db.Close())
	})

	return err
}
