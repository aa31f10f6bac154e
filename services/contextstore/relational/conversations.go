package relational

import (
	"github.com/serinhq/serin/services/contextstore"
)

const (
	conversationColumns = `conversation_id, request_id, request_digest, tenant, user_name, agent, active_turn_id, created_at`

	// selectConversation looks at a conversation with its last event. Each look is one step into an index: a join, or the
	// maximum of the sequences, may be planned to read the whole log.
	selectConversation = `SELECT c.conversation_id, c.request_id, c.request_digest, c.tenant, c.user_name, c.agent,
		c.active_turn_id, c.created_at,
		COALESCE((SELECT e.sequence FROM events e WHERE e.conversation_id = c.conversation_id ORDER BY e.sequence DESC LIMIT 1), 0),
		COALESCE((SELECT e.created_at FROM events e WHERE e.conversation_id = c.conversation_id ORDER BY e.sequence DESC LIMIT 1), 0)
		FROM conversations c`
)

// Conversation returns a conversation. Errors: NOT_FOUND.
func (r Rows) Conversation(conversationID string) (contextstore.Conversation, error) {
	row, err := r.conversation("conversation_id", conversationID)
	if err == nil && row.ID == "" {
		err = contextstore.NoConversation(conversationID)
	}

	return row, err
}

// ConversationByRequest returns the conversation that a request opened, or one without an id.
func (r Rows) ConversationByRequest(requestID string) (contextstore.Conversation, error) {
	return r.conversation("request_id", requestID)
}

func (r Rows) conversation(column, value string) (contextstore.Conversation, error) {
	var row conversationScan

	_, err := r.db.One(selectConversation+" WHERE c."+column+" = ?", []any{value}, row.into()...)

	return row.row(), err
}

// Conversations returns up to limit conversations, newest first, that are older than the one named before.
func (r Rows) Conversations(tenant, user, before string, limit int) ([]contextstore.Conversation, error) {
	query, args := selectConversation+" WHERE TRUE", []any{}

	for _, filter := range []struct{ condition, value string }{
		{" AND c.tenant = ?", tenant},
		{" AND c.user_name = ?", user},
		{" AND c.conversation_id < ?", before},
	} {
		if filter.value != "" {
			query, args = query+filter.condition, append(args, filter.value)
		}
	}

	var found []contextstore.Conversation

	err := r.db.Each(query+" ORDER BY c.conversation_id DESC LIMIT ?", append(args, limit),
		func(scan Scan) (bool, error) {
			var row conversationScan
			if err := scan(row.into()...); err != nil {
				return false, err
			}

			found = append(found, row.row())

			return true, nil
		})

	return found, err
}

// InsertConversation adds a conversation.
func (r Rows) InsertConversation(row contextstore.Conversation) error {
	return r.db.Exec("INSERT INTO conversations ("+conversationColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		row.ID, row.RequestID, row.RequestDigest, row.Tenant, row.User, row.Agent, row.ActiveTurnID, Nanos(row.CreatedAt))
}

// UpdateConversation writes a conversation's agent and active turn.
func (r Rows) UpdateConversation(row contextstore.Conversation) error {
	return r.db.Exec("UPDATE conversations SET agent = ?, active_turn_id = ? WHERE conversation_id = ?",
		row.Agent, row.ActiveTurnID, row.ID)
}

// DeleteConversation deletes a conversation and every row that is about it, but for outcomes.
func (r Rows) DeleteConversation(conversationID string) error {
	for _, table := range []string{"events", "requests", "pins", "calls", "turns", "checkpoints", "conversations"} {
		if err := r.db.Exec("DELETE FROM "+table+" WHERE conversation_id = ?", conversationID); err != nil {
			return err
		}
	}

	return r.db.Exec("DELETE FROM shared_state WHERE scope = ?", conversationID)
}

// Pins returns the conversation's pinned revisions by agent.
func (r Rows) Pins(conversationID string) (map[string]string, error) {
	pins := map[string]string{}

	err := r.db.Each("SELECT agent, revision FROM pins WHERE conversation_id = ?", []any{conversationID},
		func(scan Scan) (bool, error) {
			var agent, revision string

			err := scan(&agent, &revision)
			pins[agent] = revision

			return true, err
		})

	return pins, err
}

// PutPin sets or moves a pin.
func (r Rows) PutPin(conversationID, agent, revision string) error {
	return r.db.Exec("INSERT INTO pins (conversation_id, agent, revision) VALUES (?, ?, ?) "+
		"ON CONFLICT (conversation_id, agent) DO UPDATE SET revision = excluded.revision",
		conversationID, agent, revision)
}

// conversationScan reads a conversation's columns.
type conversationScan struct {
	contextstore.Conversation

	created, updated int64
}

func (s *conversationScan) into() []any {
	return []any{
		&s.ID, &s.RequestID, &s.RequestDigest, &s.Tenant, &s.User, &s.Agent, &s.ActiveTurnID, &s.created,
		&s.Version, &s.updated,
	}
}

func (s *conversationScan) row() contextstore.Conversation {
	s.CreatedAt, s.UpdatedAt = at(s.created), at(s.updated)

	return s.Conversation
}
