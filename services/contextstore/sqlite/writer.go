package sqlite

import (
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/services/contextstore"
)

// maxBatch is how many transactions share one commit at most.
const maxBatch = 128

// writer commits transactions in groups: whoever finds the connection free runs all that wait, each in a savepoint of
// its own, and commits them at once. There is no goroutine: a lone transaction runs where it was asked for.
type writer struct {
	conn *conn
	// turn is held by who uses the connection.
	turn chan struct{}

	mu      sync.Mutex
	waiting []*job
	closed  bool
}

// job is one transaction.
type job struct {
	run  func(contextstore.Tx) error
	done chan error
	// begun is set by whoever decides first: the one who runs it, or the one who gave up waiting.
	begun atomic.Bool
}

func newWriter(conn *conn) *writer { return &writer{conn: conn, turn: make(chan struct{}, 1)} }

// do runs a transaction and waits for its commit. Once it has begun it is not interrupted by the context.
func (w *writer) do(ctx context.Context, run func(contextstore.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	own := &job{run: run, done: make(chan error, 1)}
	if !w.enqueue(own) {
		return closed()
	}

	for {
		select {
		case err := <-own.done:
			return err
		case w.turn <- struct{}{}:
			w.lead() //nolint:contextcheck // see conn
			<-w.turn
		case <-ctx.Done():
			if own.begun.CompareAndSwap(false, true) {
				return ctx.Err()
			}

			return <-own.done
		}
	}
}

func (w *writer) enqueue(one *job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()

	if !w.closed {
		w.waiting = append(w.waiting, one)
	}

	return !w.closed
}

// lead runs what waits, in the caller's goroutine.
func (w *writer) lead() {
	w.mu.Lock()
	batch := w.waiting[:min(len(w.waiting), maxBatch)]
	w.waiting = w.waiting[len(batch):]
	w.mu.Unlock()

	begun := make([]*job, 0, len(batch))

	for _, one := range batch {
		if one.begun.CompareAndSwap(false, true) {
			begun = append(begun, one)
		}
	}

	if len(begun) == 1 {
		begun[0].done <- w.alone(begun[0])
	} else if len(begun) > 1 {
		w.together(begun)
	}
}

// alone runs one transaction.
func (w *writer) alone(one *job) error {
	if err := w.begin(); err != nil {
		return err
	}

	if err := w.attempt(one); err != nil {
		return w.rollback(err)
	}

	if err := w.conn.exec("COMMIT"); err != nil {
		return w.rollback(err)
	}

	return nil
}

// together runs transactions in one commit. If the database itself fails in any of them, all run again, one by one, so
// that each gets an answer of its own.
func (w *writer) together(batch []*job) {
	results := make([]error, len(batch))

	err := w.begin()
	for i := 0; i < len(batch) && err == nil; i++ {
		results[i], err = w.nested(batch[i])
	}

	if err == nil {
		err = w.conn.exec("COMMIT")
	}

	if err != nil {
		_ = w.rollback(err)

		for i, one := range batch {
			results[i] = w.alone(one)
		}
	}

	for i, one := range batch {
		one.done <- results[i]
	}
}

// nested runs a transaction in a savepoint. The second error is the database's own.
func (w *writer) nested(one *job) (result, broken error) {
	if err := w.conn.exec("SAVEPOINT one"); err != nil {
		return nil, err
	}

	result = w.attempt(one)
	if w.conn.broken != nil {
		return nil, w.conn.broken
	}

	if result != nil {
		if err := w.conn.exec("ROLLBACK TO one"); err != nil {
			return nil, err
		}
	}

	return result, w.conn.exec("RELEASE one")
}

// attempt calls a transaction's function. A panic is its caller's fault, and must not take the process down from
// another caller's goroutine.
func (w *writer) attempt(one *job) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fault.New(codes.Internal, "PANIC", "a transaction panicked: %v\n%s", cause, debug.Stack())
		}
	}()

	err = one.run(w.conn)
	if w.conn.broken != nil {
		err = w.conn.broken
	}

	return err
}

func (w *writer) begin() error {
	w.conn.broken = nil

	return w.conn.exec("BEGIN IMMEDIATE")
}

// rollback undoes the transaction and returns why. SQLite may have rolled back by itself.
func (w *writer) rollback(why error) error {
	w.conn.broken = nil
	_ = w.conn.exec("ROLLBACK")
	w.conn.broken = nil

	return why
}

// close waits for what was asked for, and closes the connection.
func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()

	w.turn <- struct{}{}
	defer func() { <-w.turn }()

	for w.pending() {
		w.lead()
	}

	return w.conn.close()
}

func (w *writer) pending() bool {
	w.mu.Lock()
	defer w.mu.Unlock()

	return len(w.waiting) > 0
}
