package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/commits"
)

const (
	// maxBatch is how many transactions share one commit at most.
	maxBatch = 64
	// patience bounds a transaction, and what it waits for.
	patience = 30 * time.Second
	// attempts is how often a transaction is tried that others are in the way of.
	attempts = 5
	// pause is how long it waits, the first time, for a server that is gone.
	pause = 20 * time.Millisecond
)

// group is some transactions that share a commit.
type group struct {
	store   *Store
	session *session
	plans   []*plan
	txs     []*tx
	// answers are what was read ahead, by transaction; nil for those that read once it is their turn.
	answers []map[string]*answer
	// notes are of what those transactions read that only add events.
	notes []*noting
}

// run runs transactions in one commit. If the database fails in any of them, all run again, one by one, so that each gets
// an answer of its own.
func (s *Store) run(batch []*commits.Job) []error {
	if results, done := s.guess(batch); done {
		return results
	}

	results, err := s.together(batch)
	if err == nil {
		return results
	}

	results = make([]error, len(batch))
	if len(batch) == 1 {
		results[0] = s.again(batch[0], err)

		return results
	}

	for i, one := range batch {
		results[i] = s.alone(one)
	}

	return results
}

func (s *Store) alone(one *commits.Job) error {
	results, err := s.together([]*commits.Job{one})
	if err == nil {
		return results[0]
	}

	return s.again(one, err)
}

// again tries a transaction once more, as long as what went wrong may go away by itself.
func (s *Store) again(one *commits.Job, why error) error {
	for attempt := 1; attempt < attempts && passing(why); attempt++ {
		if lost(why) {
			<-time.After(time.Duration(attempt*attempt) * pause)
		}

		var results []error
		if results, why = s.together([]*commits.Job{one}); why == nil {
			return results[0]
		}
	}

	return failed(why)
}

// together runs transactions in one commit. The error is the database's own; then nothing was committed, unless it says
// that this is not known.
func (s *Store) together(batch []*commits.Job) (results []error, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, unavailable(err)
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

	made.session.queue = append(made.session.queue, statement{query: "COMMIT"})
	if err := made.session.flush(); err != nil {
		return nil, made.rollback(conn, uncertain(err))
	}

	made.tell(results)
	made.remember(results)

	return results, nil
}

// begin takes the locks and reads ahead.
func (g *group) begin(batch []*commits.Job) error {
	abouts := make([]contextstore.About, len(batch))
	for i, one := range batch {
		abouts[i] = one.About
	}

	if err := g.store.owners.lookUp(g.session, abouts); err != nil {
		return err
	}

	for _, about := range abouts {
		g.plans = append(g.plans, g.store.owners.plan(about))
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

	g.session.queue = append(g.session.queue, tenant.statement())
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
	writes := &tx{reader: readerOf(session), plan: planned, owners: g.store.owners}
	g.txs = append(g.txs, writes)

	var notes *noting
	if job.About.Appends {
		notes = &noting{tx: writes}
		result = job.Run(notes)
	} else {
		result = job.Run(writes)
	}

	g.notes = append(g.notes, notes)
	writes.written = session.written

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

// tell gives others a hint of what was committed.
func (g *group) tell(results []error) {
	var changed contextstore.Hint

	for i, one := range g.txs {
		if results[i] == nil {
			changed.Conversations = append(changed.Conversations, one.changed.Conversations...)
			changed.Turns = append(changed.Turns, one.changed.Turns...)
			changed.Outcomes = changed.Outcomes || one.changed.Outcomes
		}
	}

	g.store.hints.send(changed)
}
