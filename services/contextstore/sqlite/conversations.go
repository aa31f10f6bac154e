package sqlite

import (
	"github.com/serinhq/serin/services/contextstore"
)

const conversationColumns = `conversation_id, request_id, request_digest, tenant, user_name, agent, version,
	active_turn_id, created_at, updated_at`

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

	_, err := c.one("SELECT "+conversationColumns+" FROM conversations WHERE "+column+" = ?", []any{value}, row.into()...)

	return row.row(), err
}

// Conversations returns up to limit conversations, newest first, that are older than the one named before.
func (c *conn) Conversations(tenant, user, before string, limit int) ([]contextstore.Conversation, error) {
	query, args := "SELECT "+conversationColumns+" FROM conversations WHERE TRUE", []any{}

	for _, filter := range []struct{ condition, value string }{
		{" AND tenant = ?", tenant},
		{" AND user_name = ?", user},
		{" AND conversation_id < ?", before},
	} {
		if filter.value != "" {
			query, args = query+filter.condition, append(args, filter.value)
		}
	}

	var found []contextstore.Conversation

	err := c.each(query+" ORDER BY conversation_id DESC LIMIT ?", append(args, limit),
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
	return c.exec("INSERT INTO conversations ("+conversationColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		row.ID, row.RequestID, row.RequestDigest, row.Tenant, row.User, row.Agent, row.Version, row.ActiveTurnID,
		nanos(row.CreatedAt), nanos(row.UpdatedAt))
}

// UpdateConversation writes what changes in a conversation.
func (c *conn) UpdateConversation(row contextstore.Conversation) error {
	return c.exec("UPDATE conversations SET agent = ?, version = ?, active_turn_id = ?, updated_at = ? "+
		"WHERE conversation_id = ?", row.Agent, row.Version, row.ActiveTurnID, nanos(row.UpdatedAt), row.ID)
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
		&s.ID, &s.RequestID, &s.RequestDigest, &s.Tenant, &s.User, &s.Agent, &s.Version, &s.ActiveTurnID,
		&s.created, &s.updated,
	}
}

func (s *conversationScan) row() contextstore.Conversation {
	s.CreatedAt, s.UpdatedAt = at(s.created), at(s.updated)

	return s.Conversation
}
