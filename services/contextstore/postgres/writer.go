package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/commits"
)

const (
	// maxBatch is how many transactions share one commit at most.
	maxBatch = 64
	// patience bounds a transaction, and what it waits for.
	patience = 30 * time.Second
	// grace is how much longer than its callers wait a transaction may take before it is interrupted, which costs its
	// connection.
	grace = time.Second
	// attempts is how often a transaction is tried that others are in the way of.
	attempts = 5
	// pause is how long a server that is away is left alone, the first time, and mostPause at most.
	pause, mostPause = 20 * time.Millisecond, 500 * time.Millisecond
)

// group is some transactions that share a commit.
type group struct {
	store   *Store
	session *session
	plans   []*plan
	txs     []*tx
	// answers are what was read ahead, by transaction; nil for those that read once it is their turn.
	answers []map[string]*answer
	// appends says that one of them may only add events.
	appends bool
	// notes are of what those transactions read that only add events.
	notes []*noting
}

// run runs transactions in one commit. If the database is away, all are put back, to be run together once it is there. If it
// fails in any of them, all run again, one by one, so that each gets an answer of its own.
func (s *Store) run(batch []*commits.Job) []error {
	if results, done := s.guess(batch); done {
		return results
	}

	results, err := s.together(batch)
	if pgconn.Timeout(err) { // others may be as dead as this one
		s.pool.Reset()
	}

	switch {
	case err == nil:
		return results
	case away(err):
		return slices.Repeat([]error{s.later(err)}, len(batch))
	case len(batch) == 1:
		return []error{s.again(batch[0], err)}
	}

	results = make([]error, len(batch))

	for i := range batch {
		if results[i] = s.alone(batch[i]); isAgain(results[i]) { // it is gone for the others, too
			copy(results[i:], slices.Repeat(results[i:i+1], len(batch)-i))

			break
		}
	}

	return results
}

// later is what transactions came to that are to run once the server is there.
func (s *Store) later(why error) error {
	if lost(why) {
		s.pool.Reset()
	}

	return &commits.AgainError{Why: failed(why)}
}

func isAgain(err error) bool {
	_, again := err.(*commits.AgainError) //nolint:errorlint // it is not wrapped

	return again
}

func (s *Store) alone(one *commits.Job) error {
	results, err := s.together([]*commits.Job{one})
	if err == nil {
		return results[0]
	}

	return s.again(one, err)
}

// again tries a transaction once more, as long as others are in its way.
func (s *Store) again(one *commits.Job, why error) error {
	for attempt := 1; attempt < attempts && passing(why); attempt++ {
		var results []error
		if results, why = s.together([]*commits.Job{one}); why == nil {
			return results[0]
		}
	}

	if away(why) {
		return s.later(why)
	}

	return failed(why)
}

// bounded is the context of transactions: as long as the most patient of their callers waits.
func bounded(batch []*commits.Job) (context.Context, context.CancelFunc) {
	var last time.Time

	for _, one := range batch {
		until, known := one.Until()
		if !known {
			return context.WithTimeout(context.Background(), patience)
		}

		if until.After(last) {
			last = until
		}
	}

	return context.WithTimeout(context.Background(), min(patience, time.Until(last)+grace))
}

// together runs transactions in one commit. The error is the database's own; then nothing was committed, or what was may
// simply run again.
func (s *Store) together(batch []*commits.Job) (results []error, err error) {
	ctx, cancel := bounded(batch)
	defer cancel()

	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, err //nolint:wrapcheck // see failed
	}
	defer conn.Release()

	made := &group{store: s, session: newSession(ctx, conn.Conn())}
	if err := made.begin(batch); err != nil {
		return nil, made.rollback(conn, err)
	}

	results = make([]error, len(batch))
	for i, one := range batch {
		if results[i], err = made.one(i, one); err != nil {
			return nil, made.rollback(conn, err)
		}
	}

	if len(batch) == 1 && results[0] != nil { // it had no savepoint, and may have written before it read
		_ = made.rollback(conn, nil)
		made.remember(results)

		return results, nil
	}

	if err := made.commit(made.marked(batch, results)); err != nil {
		return made.wondered(conn, batch, results, err)
	}

	made.tell(results)
	made.remember(results)

	return results, nil
}

// marked returns a marker for the commit if one of its transactions wrote what must not be written again.
func (g *group) marked(batch []*commits.Job, results []error) *marker {
	for i, one := range g.txs {
		if one.written > 0 && results[i] == nil && !repeats(batch[i]) {
			return newMarker()
		}
	}

	return nil
}

// commit commits. Its error is a [doubt] if it may have been made.
func (g *group) commit(mark *marker) error {
	if mark != nil {
		g.session.queue = append(g.session.queue, statement{insertMarker, []any{*mark}})
	}

	g.session.queue = append(g.session.queue, statement{query: "COMMIT"})

	err := g.session.flush()
	if err != nil && mark != nil && uncertain(err) {
		return &doubt{mark, err}
	}

	return err
}

// wondered finds out what became of a commit that failed, if that is not known.
func (g *group) wondered(conn *pgxpool.Conn, batch []*commits.Job, results []error, why error) ([]error, error) {
	_ = g.rollback(conn, nil)

	wondering, ok := errors.AsType[*doubt](why)
	if !ok {
		return nil, why
	}

	conn.Release() // it is of no use, and another is needed
	g.store.pool.Reset()

	ctx, cancel := bounded(batch)
	defer cancel()

	made, err := g.store.settled(ctx, wondering.mark)

	switch {
	case err != nil:
		g.remember(slices.Repeat([]error{err}, len(results)))

		return slices.Repeat([]error{unknown(err)}, len(results)), nil
	case !made:
		return nil, wondering.why
	}

	g.tell(results)
	g.remember(results)

	return results, nil
}

// begin takes the locks and reads ahead.
func (g *group) begin(batch []*commits.Job) error {
	abouts := make([]contextstore.About, len(batch))
	for i, one := range batch {
		abouts[i] = one.About
	}

	owners, err := g.store.owners.lookUp(g.session, abouts)
	if err != nil {
		return err
	}

	g.appends = slices.ContainsFunc(abouts, func(about contextstore.About) bool { return about.Appends })

	for i, about := range abouts {
		g.plans = append(g.plans, owners[i].plan(about))
	}

	g.session.queue = append(g.session.queue, statement{query: "BEGIN"})
	g.session.queue = append(g.session.queue, locks(g.plans)...)

	return g.readAhead()
}

// locks returns the statements that take all locks in one order, so that no two groups wait for each other.
func locks(plans []*plan) []statement {
	var keys []int64

	for _, one := range plans {
		if one.everything {
			return []statement{{"SELECT pg_advisory_xact_lock(?, ?)", []any{lockSpace, lockEverything}}}
		}

		keys = append(keys, one.keys...)
	}

	slices.Sort(keys)

	return []statement{
		{"SELECT pg_advisory_xact_lock_shared(?, ?)", []any{lockSpace, lockEverything}},
		{"SELECT pg_advisory_xact_lock(key) FROM unnest(?::bigint[]) AS key", []any{slices.Compact(keys)}},
	}
}

// readAhead fetches what transactions will read whatever those before them write.
func (g *group) readAhead() error {
	var (
		queries  []statement
		tenant   = g.plans[0].tenants
		answered = make([]bool, len(g.plans))
		taken    = map[int64]bool{}
		open     = true
	)

	for i, one := range g.plans {
		open = open && (!one.everything || i == 0)
		answered[i] = open && one.tenants == tenant && !one.meets(taken)
		open = open && !one.everything

		for _, key := range one.keys {
			taken[key] = true
		}

		if answered[i] {
			queries = append(queries, one.reads...)
		}
	}

	acting := tenant.statement()
	if g.appends {
		acting.query = actAndStamp
	}

	g.session.queue = append(g.session.queue, acting)
	g.session.tenants = tenant

	answers, err := g.session.fetch(queries)
	if err != nil {
		return err
	}

	g.answers = make([]map[string]*answer, len(g.plans))

	for i := range g.plans {
		if answered[i] {
			g.answers[i] = answers
		}
	}

	return nil
}

// one runs a transaction of the group. What it wrote is gone if it fails. The second error is the database's own.
func (g *group) one(i int, job *commits.Job) (result, broken error) {
	session, planned := g.session, g.plans[i]
	session.actAs(planned.tenants)

	if session.ahead = g.answers[i]; session.ahead == nil && len(planned.reads) > 0 {
		if session.ahead, broken = session.fetch(planned.reads); broken != nil {
			return nil, broken
		}
	}

	mark := len(session.queue)
	if session.saved = false; len(g.plans) > 1 {
		session.savepoint = mark
	}

	session.written = 0
	writes := &tx{reader: readerOf(session), plan: planned}
	g.txs = append(g.txs, writes)

	var notes *noting
	if job.About.Appends {
		notes = &noting{tx: writes}
		result = job.Run(notes)
	} else {
		result = job.Run(writes)
	}

	g.notes = append(g.notes, notes)
	writes.written, writes.nested = session.written, session.saved

	if session.broken != nil {
		return nil, session.broken
	}

	g.settle(result, mark)
	session.savepoint = -1

	return result, nil
}

// settle keeps what a transaction wrote, or drops it.
func (g *group) settle(result error, mark int) {
	session := g.session

	switch {
	case session.saved && result != nil:
		session.queue = append(session.queue[:0:0], statement{query: "ROLLBACK TO one"}, statement{query: "RELEASE one"})
	case session.saved:
		session.queue = append(session.queue, statement{query: "RELEASE one"})
	case result != nil:
		session.queue = session.queue[:min(mark, len(session.queue))]
	}
}

// rollback undoes everything and returns why.
func (g *group) rollback(conn *pgxpool.Conn, why error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience/10)
	defer cancel()

	if !conn.Conn().IsClosed() {
		_, _ = conn.Exec(ctx, "ROLLBACK") // the pool throws away what it can't be sure of
	}

	return why
}

// remember keeps what the next transactions may guess upon, and drops what is not so any more.
func (g *group) remember(results []error) {
	known := g.store.guesses
	known.reading.Store(&reading{g.session.clock, g.session.since})

	for i, one := range g.txs {
		switch {
		case g.notes[i] != nil && results[i] == nil:
			g.notes[i].remember(known, one.plan.conversation)
		case one.plan.conversation != "":
			known.set(one.plan.conversation, nil)
		}
	}
}

// tell remembers whose turns were committed, and gives others a hint of what was.
func (g *group) tell(results []error) {
	var changed contextstore.Hint

	for i, one := range g.txs {
		if results[i] == nil {
			for turn, conversation := range one.owned {
				g.store.owners.turn(turn, conversation)
			}

			changed.Conversations = append(changed.Conversations, one.changed.Conversations...)
			changed.Turns = append(changed.Turns, one.changed.Turns...)
			changed.Outcomes = changed.Outcomes || one.changed.Outcomes
		}
	}

	g.store.hints.send(changed)
}
