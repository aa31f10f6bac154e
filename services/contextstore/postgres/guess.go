package postgres

import (
	"cmp"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/commits"
)

// Most transactions add a part of a message to a turn that nobody but its executor writes to, through the same process.
// Such a process remembers what it wrote last, decides upon that without asking, and sends what is to be written together
// with what it took for granted: one round trip. If the database finds anything else, nothing is written, and the
// transaction runs in the ordinary way.

// guess is what is remembered of a conversation: as it was when this process last added events to it.
type guess struct {
	conversation contextstore.Conversation
	turn         contextstore.Turn
	// stamp is the xmin of the turn's row; empty if the transaction under way wrote it.
	stamp string
}

// guessed is how many conversations are remembered.
const guessed = 4096

// guesses are by conversation.
type guesses struct {
	known *lru.Cache[string, *guess]
	// reading is when the database's clock was last read, and what it said.
	reading atomic.Pointer[reading]
	// right and wrong count transactions.
	right, wrong atomic.Int64
}

type reading struct{ clock, since time.Time }

func newGuesses() *guesses {
	known, _ := lru.New[string, *guess](guessed) // it fails for sizes below 1

	return &guesses{known: known}
}

// errUnknown ends a transaction that asks for what is not remembered.
var errUnknown = errors.New("not remembered")

// guessing is a transaction upon what is remembered.
type guessing struct {
	*tx

	guess *guess
	// revised is the turn as it was written: what its next reader sees may depend on what is not remembered, such as the pin
	// of another agent.
	revised *contextstore.Turn
}

func (g *guessing) PutTurn(row contextstore.Turn) error {
	g.revised = copyOf(row)

	return g.tx.PutTurn(row)
}

// copyOf returns a turn that does not change with another.
func copyOf(row contextstore.Turn) *contextstore.Turn {
	row.Turn = proto.CloneOf(row.Turn)

	return &row
}

func (g *guessing) Request(conversationID, requestID string) (contextstore.Request, error) {
	return contextstore.Request{ConversationID: conversationID, ID: requestID}, nil // its key is unique
}

func (g *guessing) Conversation(id string) (contextstore.Conversation, error) {
	if id != g.guess.conversation.ID {
		return contextstore.Conversation{}, errUnknown
	}

	return g.guess.conversation, nil
}

func (g *guessing) Turn(id string) (contextstore.Turn, error) {
	if id != g.guess.turn.GetTurnId() || g.revised != nil {
		return contextstore.Turn{}, errUnknown
	}

	return *copyOf(g.guess.turn), nil
}

// next is what is remembered after a transaction that added events, its request and perhaps a turn, and nothing else; nil if
// it did. A turn that another agent owns now has another pin.
func (g *guess) next(of *tx, revised *contextstore.Turn) *guess {
	if g == nil || of.written != of.added+len(of.changed.Turns) || len(of.changed.Turns) > 1 {
		return nil
	}

	after := *g

	if revised != nil {
		if revised.GetAgent() != g.turn.GetAgent() {
			return nil
		}

		after.turn, after.stamp = *revised, ""
	}

	if of.last != nil {
		after.conversation.Version = of.last.GetSequence()
		after.conversation.UpdatedAt = of.last.GetTime().AsTime()
	}

	return &after
}

// remembered looks transactions up; false unless all of them only add to what is remembered.
func (s *Store) remembered(batch []*commits.Job) (map[string]*guess, bool) {
	known := make(map[string]*guess, len(batch))

	for _, one := range batch {
		id := one.About.Conversation
		if !one.About.Appends || known[id] != nil {
			if one.About.Appends && known[id].turn.GetTurnId() == one.About.Turn {
				continue
			}

			return nil, false
		}

		found, ok := s.guesses.known.Get(id)
		if !ok || found.turn.GetTurnId() != one.About.Turn {
			return nil, false
		}

		known[id] = found
	}

	return known, s.guesses.reading.Load() != nil
}

// guess runs transactions upon what is remembered. It answers false if they must run in the ordinary way: nothing was written
// then, or what was is found there under its request.
func (s *Store) guess(batch []*commits.Job) (results []error, done bool) {
	known, ok := s.remembered(batch)
	if !ok {
		return nil, false
	}

	read := s.guesses.reading.Load()
	first := known[batch[0].About.Conversation].conversation.Tenant
	session := &session{clock: read.clock, since: read.since, savepoint: -1, tenants: tenants{tenant: first}, blind: true}
	at := session.Now()

	after, changed, ok := s.decide(session, batch, known)
	if !ok {
		return nil, false
	}

	stamp, err := s.write(batch, session, assumed(batch, known, at))
	if err != nil {
		s.guesses.wrong.Add(int64(len(batch)))
		s.guesses.forget(known)

		if away(err) {
			return slices.Repeat([]error{s.later(err)}, len(batch)), true
		}

		return nil, false
	}

	s.guesses.right.Add(int64(len(batch)))

	for id, one := range after {
		if one != nil {
			one.stamp = cmp.Or(one.stamp, stamp)
		}

		s.guesses.set(id, one)
	}

	s.hints.send(changed)

	return make([]error, len(batch)), true
}

// decide runs the transactions' functions, each upon what those before it left.
func (s *Store) decide(session *session, batch []*commits.Job, known map[string]*guess) (map[string]*guess, contextstore.Hint, bool) {
	var changed contextstore.Hint

	after := make(map[string]*guess, len(known))

	for _, one := range batch {
		id := one.About.Conversation

		now, moved := after[id]
		if !moved {
			now = known[id]
		}

		if now == nil { // the one before changed more than the log
			return nil, changed, false
		}

		planned := &plan{conversation: id, tenants: tenants{tenant: now.conversation.Tenant}}
		session.actAs(planned.tenants)

		session.written = 0
		writes := &tx{reader: readerOf(session), plan: planned}
		guessing := &guessing{tx: writes, guess: now}
		if err := one.Run(guessing); err != nil || session.broken != nil {
			return nil, changed, false // it may be because of what is remembered
		}

		writes.written = session.written

		after[id] = now.next(writes, guessing.revised)
		changed.Conversations = append(changed.Conversations, writes.changed.Conversations...)
		changed.Turns = append(changed.Turns, writes.changed.Turns...)
		changed.Outcomes = changed.Outcomes || writes.changed.Outcomes
	}

	return after, changed, true
}

// assumed is the statement that takes the locks and checks what was taken for granted. It leaves the transaction acting for
// the first job's tenant.
func assumed(batch []*commits.Job, known map[string]*guess, at time.Time) statement {
	var (
		keys, sequences = make([]int64, 0, len(known)), make([]int64, 0, len(known))
		whose, ids      = make([]string, 0, len(known)), make([]string, 0, len(known))
		turns, stamps   = make([]string, 0, len(known)), make([]string, 0, len(known))
		agents, pinned  = make([]string, 0, len(known)), make([]string, 0, len(known))
	)

	for _, job := range batch {
		id := job.About.Conversation
		if slices.Contains(ids, id) {
			continue
		}

		one := known[id]
		keys = append(keys, hashOf("conversation", id))
		sequences = append(sequences, one.conversation.Version)
		whose, ids = append(whose, one.conversation.Tenant), append(ids, id)
		turns, stamps = append(turns, one.turn.GetTurnId()), append(stamps, one.stamp)
		agents, pinned = append(agents, one.turn.GetAgent()), append(pinned, one.turn.Pin.Revision)
	}

	slices.Sort(keys)

	return statement{
		"SELECT clock, stamp FROM serin_extend(?, ?, ?, ?, ?, ?, ?, ?, ?)",
		[]any{whose, slices.Compact(keys), ids, sequences, turns, stamps, agents, pinned, float64(at.UnixMicro()) / 1e6},
	}
}

// write sends everything in one pipeline, which is a transaction. It returns the stamp of the rows that were written.
func (s *Store) write(batch []*commits.Job, decided *session, assumed statement) (stamp string, err error) {
	ctx, cancel := bounded(batch)
	defer cancel()

	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return "", err //nolint:wrapcheck // see failed
	}
	defer conn.Release()

	pipeline := &pgx.Batch{}
	pipeline.Queue(numbered(assumed.query), assumed.args...)

	for _, one := range merged(decided.queue) {
		pipeline.Queue(numbered(one.query), one.args...)
	}

	results := conn.SendBatch(ctx, pipeline)

	var clock time.Time
	if err := results.QueryRow().Scan(&clock, &stamp); err != nil {
		_ = results.Close() // the same again

		return "", err //nolint:wrapcheck // as above
	}

	s.guesses.read(clock)

	return stamp, results.Close() //nolint:wrapcheck // as above
}

// read notes the database's time.
func (g *guesses) read(clock time.Time) { g.reading.Store(&reading{clock, time.Now()}) }

func (g *guesses) set(id string, after *guess) {
	if after == nil {
		g.known.Remove(id)
	} else {
		g.known.Add(id, after)
	}
}

func (g *guesses) forget(known map[string]*guess) {
	for id := range known {
		g.known.Remove(id)
	}
}

// selectStamp asks for what is another after every write to a turn.
const selectStamp = "SELECT xmin::text FROM turns WHERE turn_id = ?"

// noting is an ordinary transaction that remembers what it reads, for the next one to guess.
type noting struct {
	*tx

	seen guess
	// revised is the turn as it was written.
	revised *contextstore.Turn
}

func (n *noting) PutTurn(row contextstore.Turn) error {
	n.revised = copyOf(row)

	return n.tx.PutTurn(row)
}

func (n *noting) Conversation(id string) (contextstore.Conversation, error) {
	row, err := n.tx.Conversation(id)
	n.seen.conversation = row

	return row, err
}

func (n *noting) Turn(id string) (contextstore.Turn, error) {
	row, err := n.tx.Turn(id)
	if err != nil {
		return row, err
	}

	n.seen.turn = *copyOf(row)

	_, err = n.One(selectStamp, []any{id}, &n.seen.stamp)

	return row, err
}

// remember keeps what an ordinary transaction saw and left, if the next one may guess upon it. A row that was written within a
// savepoint has a stamp that nobody knows.
func (n *noting) remember(known *guesses, id string) {
	var after *guess
	if n.seen.stamp != "" && !n.seen.turn.Pin.Questioned && n.seen.turn.Pin.Revision != "" {
		after = n.seen.next(n.tx, n.revised)
	}

	if after != nil && after.stamp == "" {
		if after.stamp = n.stamp; n.nested || n.stamp == "" {
			after = nil
		}
	}

	known.set(id, after)
}

func (t *tx) addsEvents(events []*eventv1.Event) {
	t.added += len(events)
	if len(events) > 0 {
		t.last = events[len(events)-1]
	}
}
