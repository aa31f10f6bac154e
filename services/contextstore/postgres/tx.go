package postgres

import (
	"time"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/relational"
)

// actAs says whose rows the transaction sees, and asks what time it is.
const actAs = `SELECT set_config('serin.tenant', ?, true), set_config('serin.all_tenants', ?, true), clock_timestamp()`

// actAndStamp does so too, and asks what the xmin of the rows will be that the transaction writes.
const actAndStamp = `SELECT set_config('serin.tenant', ?, true), set_config('serin.all_tenants', ?, true), clock_timestamp(),
	pg_current_xact_id()::xid::text`

// tenants is who a transaction acts for.
type tenants struct {
	tenant string
	all    bool
}

func (t tenants) statement() statement {
	all := ""
	if t.all {
		all = "on"
	}

	return statement{actAs, []any{t.tenant, all}}
}

// actAs changes who the transaction acts for.
func (s *session) actAs(whom tenants) {
	if s.tenants != whom {
		s.queue, s.tenants = append(s.queue, whom.statement()), whom
	}
}

// Now is the database's time, by which all that share it go.
func (s *session) Now() time.Time { return s.clock.Add(time.Since(s.since)).UTC() }

// reader reads rows.
type reader struct {
	relational.Rows
	*session

	db relational.DB
}

func readerOf(session *session) reader {
	return reader{Rows: relational.New(session), session: session, db: session}
}

const selectEvents = `SELECT data FROM (
		SELECT sequence, data, SUM(octet_length(data)) OVER (ORDER BY sequence) AS filled FROM events
		WHERE conversation_id = ? AND sequence >= ? ORDER BY sequence LIMIT ?
	) page WHERE filled <= ? OR filled = octet_length(data) ORDER BY sequence`

// Events returns up to limit events from a sequence on; fewer once they fill maxBytes, but at least one. The database
// counts: what is not wanted is not sent.
func (r reader) Events(conversationID string, from int64, limit, maxBytes int) ([]*eventv1.Event, error) {
	var events []*eventv1.Event

	err := r.db.Each(selectEvents, []any{conversationID, from, limit, maxBytes}, func(scan relational.Scan) (bool, error) {
		var data []byte
		if err := scan(&data); err != nil {
			return false, err
		}

		event := &eventv1.Event{}
		events = append(events, event)

		return true, relational.Unmarshal(data, event)
	})

	return events, err
}

// tx writes rows, but only those that its locks are for.
type tx struct {
	reader

	plan    *plan
	changed contextstore.Hint
	// owned are the conversations of the turns that it wrote.
	owned map[string]string
	// written is how many statements it made, added how many of them add events and requests; last is the last event.
	written, added int
	last           *eventv1.Event
	// nested says that it wrote within a savepoint.
	nested bool
}

var _ contextstore.Tx = (*tx)(nil)

// covers checks that the transaction's locks are for a conversation.
func (t *tx) covers(conversationID string) error {
	if t.plan.everything || conversationID == t.plan.conversation {
		return nil
	}

	return notCovered("conversation " + conversationID)
}

func notCovered(what string) error {
	return fault.New(codes.Internal, "NOT_ABOUT", "a transaction writes to %s, which it did not say it is about", what)
}

func (t *tx) InsertConversation(row contextstore.Conversation) error {
	if !t.plan.everything && (row.RequestID != t.plan.creation || row.Tenant != t.plan.tenants.tenant) {
		return notCovered("a new conversation of " + row.Tenant)
	}

	t.plan.conversation = row.ID

	return t.Rows.InsertConversation(row)
}

func (t *tx) UpdateConversation(row contextstore.Conversation) error {
	if err := t.covers(row.ID); err != nil {
		return err
	}

	return t.Rows.UpdateConversation(row)
}

func (t *tx) DeleteConversation(conversationID string) error {
	if err := t.covers(conversationID); err != nil {
		return err
	}

	t.changed.Conversations = append(t.changed.Conversations, conversationID)

	return t.Rows.DeleteConversation(conversationID)
}

func (t *tx) PutPin(conversationID, agent, revision string) error {
	if err := t.covers(conversationID); err != nil {
		return err
	}

	return t.Rows.PutPin(conversationID, agent, revision)
}

func (t *tx) InsertEvents(conversationID string, events []*eventv1.Event) error {
	if err := t.covers(conversationID); err != nil {
		return err
	}

	t.changed.Conversations = append(t.changed.Conversations, conversationID)
	t.addsEvents(events)

	return t.Rows.InsertEvents(conversationID, events)
}

func (t *tx) InsertRequest(row contextstore.Request) error {
	if err := t.covers(row.ConversationID); err != nil {
		return err
	}

	t.added++

	return t.Rows.InsertRequest(row)
}

func (t *tx) PutTurn(row contextstore.Turn) error {
	if err := t.covers(row.GetConversationId()); err != nil {
		return err
	}

	t.changed.Turns = append(t.changed.Turns, row.GetTurnId())

	if t.owned == nil {
		t.owned = map[string]string{}
	}

	t.owned[row.GetTurnId()] = row.GetConversationId()

	return t.Rows.PutTurn(row)
}

func (t *tx) PutCall(row contextstore.Call) error {
	if err := t.covers(row.ConversationID); err != nil {
		return err
	}

	return t.Rows.PutCall(row)
}

func (t *tx) PutCheckpoint(checkpoint *contextv1.Checkpoint) error {
	if err := t.covers(checkpoint.GetConversationId()); err != nil {
		return err
	}

	return t.Rows.PutCheckpoint(checkpoint)
}

func (t *tx) PutState(scope, key string, value []byte, version int64) error {
	if t.plan.scope == "" || scope != t.plan.scope {
		if err := t.covers(scope); err != nil {
			return err
		}
	}

	return t.Rows.PutState(scope, key, value, version)
}

func (t *tx) PutWithdrawal(row contextstore.Withdrawal) error {
	if !t.plan.everything {
		return notCovered("withdrawals")
	}

	return t.Rows.PutWithdrawal(row)
}

func (t *tx) ForgetWithdrawal(agent, revision string, attempt int64) error {
	if !t.plan.everything {
		return notCovered("withdrawals")
	}

	return t.Rows.ForgetWithdrawal(agent, revision, attempt)
}

// InsertOutcome adds an outcome under a lock that is held until the commit, so that positions appear in their order:
// whoever has seen one has seen all before it.
func (t *tx) InsertOutcome(outcome *contextv1.Outcome) error {
	t.changed.Outcomes = true

	if err := t.Exec("SELECT pg_advisory_xact_lock(?, ?)", lockSpace, lockOutcomes); err != nil {
		return err
	}

	return t.Rows.InsertOutcome(outcome)
}
