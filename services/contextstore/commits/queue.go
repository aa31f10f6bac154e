// Package commits lets transactions that are asked for at once share a commit.
package commits

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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

	// failures is how many batches in a row came to AgainError, and rest is until when nothing is tried for that. Whoever holds
	// the turn reads and writes them.
	failures int
	rest     time.Time
}

// Waits between batches that came to AgainError: longer each time.
const (
	leastRest = 20 * time.Millisecond
	mostRest  = 500 * time.Millisecond
)

// AgainError is what a transaction came to that may succeed later: nothing of it was committed. It runs again, with whatever
// else waits by then, unless its context does not last that long.
type AgainError struct {
	// Why is what the caller is told if it does not.
	Why error
}

func (a *AgainError) Error() string { return "to be run again: " + a.Why.Error() }

// Unwrap returns why.
func (a *AgainError) Unwrap() error { return a.Why }

// Job is one transaction.
type Job struct {
	About contextstore.About

	ctx  context.Context //nolint:containedctx // it is the caller's, who waits
	run  func(contextstore.Tx) error
	done chan error
	// begun is set by whoever decides first: the one who runs it, or the one who gave up waiting.
	begun atomic.Bool
	// why is what it came to last, if that was AgainError. It is written before begun is taken back.
	why error
}

// Until is when its caller stops waiting; false if never.
func (j *Job) Until() (time.Time, bool) { return j.ctx.Deadline() }

// NewQueue makes a queue that hands up to most transactions at once to run, which returns what each of them came to.
func NewQueue(most int, run func(batch []*Job) []error) *Queue {
	return &Queue{most: most, run: run, turn: make(chan struct{}, 1)}
}

// Do runs a transaction and waits for its commit. Once it has begun it is not interrupted by the context, but it is not run
// again ([AgainError]) after that has ended. Errors: UNAVAILABLE (STORE_CLOSED).
func (q *Queue) Do(ctx context.Context, about contextstore.About, run func(contextstore.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	own := &Job{About: about, ctx: ctx, run: run, done: make(chan error, 1)}
	if !q.enqueue(own) {
		return Closed()
	}

	for {
		select {
		case err := <-own.done:
			return err
		case q.turn <- struct{}{}:
			if q.rested(ctx) {
				q.lead()
			}
			<-q.turn
		case <-ctx.Done():
			if own.begun.CompareAndSwap(false, true) {
				return own.gaveUp()
			}

			return <-own.done
		}
	}
}

// gaveUp is what a caller is told whose context ended first.
func (j *Job) gaveUp() error {
	if j.why != nil && errors.Is(j.ctx.Err(), context.DeadlineExceeded) {
		return j.why
	}

	return j.ctx.Err()
}

// rested waits until the next batch may be tried; false if the context ended first.
func (q *Queue) rested(ctx context.Context) bool {
	left := time.Until(q.rest)
	if q.failures == 0 || left <= 0 {
		return true
	}

	over := time.NewTimer(left)
	defer over.Stop()

	select {
	case <-over.C:
		return true
	case <-ctx.Done():
		return false
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

	var again []*Job

	for i, result := range q.run(begun) {
		if later, ok := result.(*AgainError); ok { //nolint:errorlint // it is not wrapped
			begun[i].why = later.Why
			again = append(again, begun[i])
		} else {
			begun[i].done <- result
		}
	}

	q.putBack(again)
}

// putBack lets transactions wait again, before all others, as far as their callers do. Those of a queue that closes do not.
func (q *Queue) putBack(again []*Job) {
	if len(again) == 0 {
		q.failures = 0

		return
	}

	rest := mostRest
	if q.failures < 5 {
		rest = leastRest << q.failures
	}

	q.failures++
	q.rest = time.Now().Add(rest)

	q.mu.Lock()
	defer q.mu.Unlock()

	again = slices.DeleteFunc(again, func(one *Job) bool {
		until, bounded := one.Until()

		if q.closed || one.ctx.Err() != nil || bounded && until.Before(q.rest) {
			one.done <- one.why

			return true
		}

		one.begun.Store(false)

		// A caller that left in between found it begun, and waits.
		if one.ctx.Err() != nil && one.begun.CompareAndSwap(false, true) {
			one.done <- one.why

			return true
		}

		return false
	})

	q.waiting = append(again, q.waiting...)
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
