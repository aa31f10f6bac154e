// Package postgres keeps a context store in PostgreSQL, which several processes share.
//
// A transaction says what it is about ([contextstore.About]) and holds advisory locks for that, so that those that
// concern the same conversation come one after another, whichever process they come from, and all others run at once.
// What it reads is fetched with the locks in one round trip, and what it writes goes with the commit in another; those
// that are asked for at the same time share both. Time is the database's. Row-level security keeps tenants apart.
package postgres

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/commits"
)

// Config says where the store is.
type Config struct {
	// URL of the database, such as postgres://serin:secret@db.example.com:5432/serin?sslmode=verify-full; libpq's
	// keywords and PG* variables work, too.
	URL string
	// Migrate brings an old schema up to date instead of refusing it. Processes may do so at once.
	Migrate bool
	// Patience is how long Open waits for a server that is not there yet; default 10 s. The context may end it sooner.
	Patience time.Duration
	// Lanes is how many commits may be under way at once; default 4.
	Lanes int
	// Connections is how many connections there are at most, beside one that listens; default 16, at least Lanes+1.
	Connections int
	// Poll is how often followed logs are looked at for what hints did not tell; default 2 s.
	Poll time.Duration
	// Logger is told when the connection that listens is lost; default slog.Default.
	Logger *slog.Logger
}

// Store is a [contextstore.Shared] in PostgreSQL.
type Store struct {
	pool    *pgxpool.Pool
	owners  *owners
	guesses *guesses
	lanes   []*commits.Queue
	seed    maphash.Seed
	hints   *hints
	// disconnect closes the pool.
	disconnect func()
	// forgetting ends what deletes old markers.
	forgetting func()
	logger     *slog.Logger
	// listener is how the connection that listens is made, and every is how often the store is polled beside it.
	listener *pgx.ConnConfig
	every    time.Duration

	// reading counts views, which Close waits for.
	reading sync.WaitGroup
	mu      sync.RWMutex
	closed  bool
}

var _ contextstore.Shared = (*Store)(nil)

// Update runs fn in a transaction, together with others that wait for the same. A server that is away is waited for, until
// the context ends or for half a minute.
func (s *Store) Update(ctx context.Context, about contextstore.About, fn func(contextstore.Tx) error) error {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()

	err := s.lane(about).Do(waiting, about, fn)
	if _, known := asFault(err); !known && errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return unavailable(err)
	}

	return err
}

// lane chooses the same lane for what concerns the same conversation, so that it does not wait for itself.
func (s *Store) lane(about contextstore.About) *commits.Queue {
	name := s.owners.conversationOf(about)
	for _, other := range []string{about.Turn, about.Creation, about.Scope} {
		if name == "" {
			name = other
		}
	}

	return s.lanes[maphash.String(s.seed, name)%uint64(len(s.lanes))]
}

// View runs fn on a snapshot. What is read in any case comes in one round trip.
func (s *Store) View(ctx context.Context, about contextstore.About, fn func(contextstore.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	if !s.enter() {
		return commits.Closed()
	}
	defer s.reading.Done()

	var err error

	for wait, over := pause, time.Now().Add(patience); ; wait = min(2*wait, mostPause) {
		err = s.view(ctx, about, fn)
		if err == nil || !away(err) { // a reader has changed nothing
			return err
		}

		if lost(err) {
			s.pool.Reset()
		}

		if time.Now().Add(wait).After(over) || !rested(ctx, wait) {
			return failed(err)
		}
	}
}

func (s *Store) enter() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()

	if !s.closed {
		s.reading.Add(1)
	}

	return !s.closed
}

// view runs fn once. An error of a server that is away is its own; any other is a fault.
func (s *Store) view(ctx context.Context, about contextstore.About, fn func(contextstore.Reader) error) error {
	// Interrupting a statement would cost the connection, and they are short.
	left := patience
	if until, bounded := ctx.Deadline(); bounded {
		left = min(left, time.Until(until)+grace)
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), left)
	defer cancel()

	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return again(err)
	}
	defer conn.Release()

	session := newSession(ctx, conn.Conn())
	if err := s.snapshot(session, about); err != nil {
		_, _ = conn.Exec(ctx, "ROLLBACK") // the pool throws away what it can't be sure of

		return again(err)
	}

	result := fn(readerOf(session))
	if session.broken != nil {
		result = again(session.broken)
	}

	if _, err := conn.Exec(ctx, "COMMIT"); err != nil && result == nil {
		return again(err)
	}

	return result
}

// again keeps an error of a server that is away for View to see, and makes a fault of any other.
func again(err error) error {
	if away(err) {
		return err
	}

	return failed(err)
}

// snapshot begins a transaction that only reads.
func (s *Store) snapshot(session *session, about contextstore.About) error {
	owners, err := s.owners.lookUp(session, []contextstore.About{about})
	if err != nil {
		return err
	}

	planned := owners[0].plan(about)
	session.queue = append(session.queue,
		statement{query: "BEGIN READ ONLY, ISOLATION LEVEL REPEATABLE READ"}, planned.tenants.statement())
	session.tenants = planned.tenants

	answers, err := session.fetch(planned.reads)
	session.ahead = answers

	return err
}

// Close waits for what runs and closes the connections.
func (s *Store) Close() error {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	s.mu.Unlock()

	if already {
		return nil
	}

	for _, lane := range s.lanes {
		lane.Close()
	}

	s.reading.Wait()
	s.hints.close()
	s.forgetting()
	s.disconnect()

	return nil
}
