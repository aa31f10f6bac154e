package sqlite

import (
	"github.com/serinhq/serin/services/contextstore"
)

const (
	conversationColumns = `conversation_id, request_id, request_digest, tenant, user_name, agent, active_turn_id, created_at`

	// selectConversation joins a conversation with its last event.
	selectConversation = `SELECT c.conversation_id, c.request_id, c.request_digest, c.tenant, c.user_name, c.agent,
		c.active_turn_id, c.created_at, e.sequence, e.created_at
		FROM conversations c JOIN events e ON e.conversation_id = c.conversation_id AND e.sequence =
			(SELECT MAX(sequence) FROM events WHERE conversation_id = c.conversation_id)`
)

// Conversation returns a conversation. Errors: NOT_FOUND.
func (c *conn) Conversation(conversationID string) (contextstore.Conversation, error) {
	row, err := c.conversation("conversation_id", conversationID)
	if err == nil && row.ID == "" {
		err = contextstore.NoConversation(conversationID)
	}

	return row, err
}

// ConversationByRequest returns the conversation that a request opened, or one without an id.
func (c *conn) ConversationByRequest(requestID string) (contextstore.Conversation, error) {
	return c.conversation("request_id", requestID)
}

func (c *conn) conversation(column, value string) (contextstore.Conversation, error) {
	var row conversationScan

	_, err := c.one(selectConversation+" WHERE c."+column+" = ?", []any{value}, row.into()...)

	return row.row(), err
}

// Conversations returns up to limit conversations, newest first, that are older than the one named before.
func (c *conn) Conversations(tenant, user, before string, limit int) ([]contextstore.Conversation, error) {
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

	err := c.each(query+" ORDER BY c.conversation_id DESC LIMIT ?", append(args, limit),
		func(scan func(...any) error) (bool, error) {
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
func (c *conn) InsertConversation(row contextstore.Conversation) error {
	return c.exec("INSERT INTO conversations ("+conversationColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		row.ID, row.RequestID, row.RequestDigest, row.Tenant, row.User, row.Agent, row.ActiveTurnID, nanos(row.CreatedAt))
}

// UpdateConversation writes a conversation's agent and active turn.
func (c *conn) UpdateConversation(row contextstore.Conversation) error {
	return c.exec("UPDATE conversations SET agent = ?, active_turn_id = ? WHERE conversation_id = ?",
		row.Agent, row.ActiveTurnID, row.ID)
}

// Pins returns the conversation's pinned revisions by agent.
func (c *conn) Pins(conversationID string) (map[string]string, error) {
	pins := map[string]string{}

	err := c.each("SELECT agent, revision FROM pins WHERE conversation_id = ?", []any{conversationID},
		func(scan func(...any) error) (bool, error) {
			var agent, revision string

			err := scan(&agent, &revision)
			pins[agent] = revision

			return true, err
		})

	return pins, err
}

// PutPin sets or moves a pin.
func (c *conn) PutPin(conversationID, agent, revision string) error {
	return c.exec("INSERT INTO pins (conversation_id, agent, revision) VALUES (?, ?, ?) "+
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
