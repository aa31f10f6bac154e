package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/relational"
)

// conn is one connection and its prepared statements. One goroutine uses it at a time. Statements are short and run to
// their end: an interrupted one would cost the whole transaction.
type conn struct {
	relational.Rows

	sql        *sql.Conn
	statements map[string]*sql.Stmt
	// broken is the first error of SQLite in this transaction. Nothing may be done after one: SQLite may have rolled the
	// transaction back, and what follows would be committed by itself.
	broken error
}

var _ contextstore.Tx = (*conn)(nil)

func connect(ctx context.Context, db *sql.DB) (*conn, error) {
	one, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}

	made := &conn{sql: one, statements: map[string]*sql.Stmt{}}
	made.Rows = relational.New(made)

	return made, nil
}

func (c *conn) close() error {
	var err error
	for _, statement := range c.statements {
		err = errors.Join(err, statement.Close())
	}

	return errors.Join(err, c.sql.Close())
}

// statement prepares a query once.
func (c *conn) statement(query string) (*sql.Stmt, error) {
	if c.broken != nil {
		return nil, c.broken
	}

	if known := c.statements[query]; known != nil {
		return known, nil
	}

	prepared, err := c.sql.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, c.fail(err)
	}

	c.statements[query] = prepared

	return prepared, nil
}

// Exec runs a statement that returns no rows.
func (c *conn) Exec(query string, args ...any) error {
	statement, err := c.statement(query) //nolint:sqlclosecheck // closed with the connection
	if err != nil {
		return err
	}

	if _, err := statement.ExecContext(context.Background(), args...); err != nil {
		return c.fail(err)
	}

	return nil
}

// One reads at most one row; found says whether there was one.
func (c *conn) One(query string, args []any, into ...any) (found bool, err error) {
	statement, err := c.statement(query) //nolint:sqlclosecheck // closed with the connection
	if err != nil {
		return false, err
	}

	err = statement.QueryRowContext(context.Background(), args...).Scan(into...)

	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, c.fail(err)
	default:
		return true, nil
	}
}

// Each reads rows until there are no more or read says that it is enough.
func (c *conn) Each(query string, args []any, read func(scan relational.Scan) (more bool, err error)) error {
	statement, err := c.statement(query) //nolint:sqlclosecheck // closed with the connection
	if err != nil {
		return err
	}

	rows, err := statement.QueryContext(context.Background(), args...)
	if err != nil {
		return c.fail(err)
	}
	defer rows.Close() //nolint:errcheck // Err says what went wrong

	for rows.Next() {
		more, err := read(rows.Scan)
		if err != nil {
			return c.fail(err)
		}

		if !more {
			return nil
		}
	}

	if err := rows.Err(); err != nil {
		return c.fail(err)
	}

	return nil
}

func (c *conn) fail(err error) error {
	if c.broken == nil {
		c.broken = failed(err)
	}

	return c.broken
}

// Now is this machine's clock: no other shares the file.
func (c *conn) Now() time.Time { return time.Now() }

// view runs fn on a snapshot.
func (c *conn) view(fn func(contextstore.Reader) error) (err error) {
	c.broken = nil

	if err := c.Exec("BEGIN"); err != nil {
		return err
	}

	defer func() {
		c.broken = nil
		err = errors.Join(err, c.Exec("ROLLBACK"))
	}()

	return fn(c)
}
