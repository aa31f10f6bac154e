package sqlite

import (
	"context"

	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/commits"
)

// maxBatch is how many transactions share one commit at most.
const maxBatch = 128

// writer commits transactions in groups, each in a savepoint of its own.
type writer struct {
	queue *commits.Queue
	conn  *conn
}

func newWriter(conn *conn) *writer {
	w := &writer{conn: conn}
	w.queue = commits.NewQueue(maxBatch, w.run)

	return w
}

func (w *writer) do(ctx context.Context, about contextstore.About, run func(contextstore.Tx) error) error {
	return w.queue.Do(ctx, about, run)
}

func (w *writer) run(batch []*commits.Job) []error {
	if len(batch) == 1 {
		return []error{w.alone(batch[0])}
	}

	return w.together(batch)
}

// alone runs one transaction.
func (w *writer) alone(one *commits.Job) error {
	if err := w.begin(); err != nil {
		return err
	}

	if err := w.attempt(one); err != nil {
		return w.rollback(err)
	}

	if err := w.conn.Exec("COMMIT"); err != nil {
		return w.rollback(err)
	}

	return nil
}

// together runs transactions in one commit. If the database itself fails in any of them, all run again, one by one, so
// that each gets an answer of its own.
func (w *writer) together(batch []*commits.Job) []error {
	results := make([]error, len(batch))

	err := w.begin()
	for i := 0; i < len(batch) && err == nil; i++ {
		results[i], err = w.nested(batch[i])
	}

	if err == nil {
		err = w.conn.Exec("COMMIT")
	}

	if err != nil {
		_ = w.rollback(err)

		for i, one := range batch {
			results[i] = w.alone(one)
		}
	}

	return results
}

// nested runs a transaction in a savepoint. The second error is the database's own.
func (w *writer) nested(one *commits.Job) (result, broken error) {
	if err := w.conn.Exec("SAVEPOINT one"); err != nil {
		return nil, err
	}

	result = w.attempt(one)
	if w.conn.broken != nil {
		return nil, w.conn.broken
	}

	if result != nil {
		if err := w.conn.Exec("ROLLBACK TO one"); err != nil {
			return nil, err
		}
	}

	return result, w.conn.Exec("RELEASE one")
}

func (w *writer) attempt(one *commits.Job) error {
	err := one.Run(w.conn)
	if w.conn.broken != nil {
		err = w.conn.broken
	}

	return err
}

func (w *writer) begin() error {
	w.conn.broken = nil

	return w.conn.Exec("BEGIN IMMEDIATE")
}

// rollback undoes the transaction and returns why. SQLite may have rolled back by itself.
func (w *writer) rollback(why error) error {
	w.conn.broken = nil
	_ = w.conn.Exec("ROLLBACK")
	w.conn.broken = nil

	return why
}

// close waits for what was asked for, and closes the connection.
func (w *writer) close() error {
	w.queue.Close()

	return w.conn.close()
}
