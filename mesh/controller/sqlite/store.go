// Package sqlite keeps the controller's rollouts in one SQLite file: WAL, synchronous=NORMAL, so that what was
// acknowledged survives the death of the process.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/serinhq/serin/mesh/controller"
)

// Config says where the store is.
type Config struct {
	// Path of the database file. It and its directory are made if they are missing, readable by their owner only.
	Path string
}

// Store is a [controller.Store] in one SQLite file.
type Store struct{ db *sql.DB }

var _ controller.Store = (*Store)(nil)

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

	db.SetMaxOpenConns(1) // decisions are rare: they wait for one another, and never find the file locked

	if err := migrate(ctx, db); err != nil {
		return nil, errors.Join(opening(config.Path, err), db.Close())
	}

	return &Store{db: db}, nil
}

// Close closes the file.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close the controller's store: %w", err)
	}

	return nil
}

// update runs fn in a transaction, and commits if it returns nil.
func (s *Store) update(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return failed(err)
	}
	defer tx.Rollback() //nolint:errcheck // it says that there was a commit

	if err := fn(tx); err != nil {
		return failed(err)
	}

	if err := tx.Commit(); err != nil {
		return failed(err)
	}

	return nil
}

// each calls read for every row of a query.
func each(ctx context.Context, on querier, read func(scan func(into ...any) error) error, query string, args ...any) error {
	rows, err := on.QueryContext(ctx, query, args...)
	if err != nil {
		return failed(err)
	}
	defer rows.Close() //nolint:errcheck // Err says what went wrong

	for rows.Next() {
		if err := read(rows.Scan); err != nil {
			return failed(err)
		}
	}

	if err := rows.Err(); err != nil {
		return failed(err)
	}

	return nil
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}
