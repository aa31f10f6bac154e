// Package commits lets transactions that are asked for at once share a commit.
package commits

import (
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/services/contextstore"
)

// Queue collects transactions: whoever finds it free runs all that wait. There is no goroutine: a lone transaction runs
// where it was asked for.
type Queue struct {
	most int
	run  func(batch []*Job) []error
	// turn is held by who runs transactions.
	turn chan struct{}

	mu      sync.Mutex
	waiting []*Job
	closed  bool
}

// Job is one transaction.
type Job struct {
	About contextstore.About

	run  func(contextstore.Tx) error
	done chan error
	// begun is set by whoever decides first: the one who runs it, or the one who gave up waiting.
	begun atomic.Bool
}

// NewQueue makes a queue that hands up to most transactions at once to run, which returns what each of them came to.
func NewQueue(most int, run func(batch []*Job) []error) *Queue {
	return &Queue{most: most, run: run, turn: make(chan struct{}, 1)}
}

// Do runs a transaction and waits for its commit. Once it has begun it is not interrupted by the context. Errors:
// UNAVAILABLE (STORE_CLOSED).
func (q *Queue) Do(ctx context.Context, about contextstore.About, run func(contextstore.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	own := &Job{About: about, run: run, done: make(chan error, 1)}
	if !q.enqueue(own) {
		return Closed()
	}

	for {
		select {
		case err := <-own.done:
			return err
		case q.turn <- struct{}{}:
			q.lead()
			<-q.turn
		case <-ctx.Done():
			if own.begun.CompareAndSwap(false, true) {
				return ctx.Err()
			}

			return <-own.done
		}
	}
}

func (q *Queue) enqueue(one *Job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()

	if !q.closed {
		q.waiting = append(q.waiting, one)
	}

	return !q.closed
}

// lead runs what waits, in the caller's goroutine.
func (q *Queue) lead() {
	q.mu.Lock()
	batch := q.waiting[:min(len(q.waiting), q.most)]
	q.waiting = q.waiting[len(batch):]
	q.mu.Unlock()

	begun := make([]*Job, 0, len(batch))

	for _, one := range batch {
		if one.begun.CompareAndSwap(false, true) {
			begun = append(begun, one)
		}
	}

	if len(begun) == 0 {
		return
	}

	for i, result := range q.run(begun) {
		begun[i].done <- result
	}
}

// Run calls the transaction's function. A panic is its caller's fault, and must not take the process down from another
// caller's goroutine.
func (j *Job) Run(tx contextstore.Tx) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fault.New(codes.Internal, "PANIC", "a transaction panicked: %v\n%s", cause, debug.Stack())
		}
	}()

	return j.run(tx)
}

// Close runs what was asked for and takes nothing more.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()

	release := q.Hold()
	defer release()

	for q.Waiting() > 0 {
		q.lead()
	}
}

// Hold keeps transactions from running until they are released.
func (q *Queue) Hold() (release func()) {
	q.turn <- struct{}{}

	return func() { <-q.turn }
}

// Waiting is how many transactions have not begun.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()

	return len(q.waiting)
}

// Closed is the fault for what is asked of a store that is closed.
func Closed() error {
	return fault.New(codes.Unavailable, "STORE_CLOSED", "the context store is closed")
}
