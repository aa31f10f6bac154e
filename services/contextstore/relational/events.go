package relational

import (
	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/services/contextstore"
)

// InsertEvent and InsertRequest are the statements that most rows are written with: a store may write many at once instead.
const (
	InsertEvent   = "INSERT INTO events (conversation_id, sequence, created_at, data) VALUES (?, ?, ?, ?)"
	InsertRequest = "INSERT INTO requests (conversation_id, request_id, digest, response) VALUES (?, ?, ?, ?)"
)

// Events returns up to limit events from a sequence on; fewer once they fill maxBytes, but at least one.
func (r Rows) Events(conversationID string, from int64, limit, maxBytes int) ([]*eventv1.Event, error) {
	var events []*eventv1.Event

	err := r.db.Each("SELECT data FROM events WHERE conversation_id = ? AND sequence >= ? ORDER BY sequence LIMIT ?",
		[]any{conversationID, from, limit},
		func(scan Scan) (bool, error) {
			var data []byte
			if err := scan(&data); err != nil {
				return false, err
			}

			if maxBytes -= len(data); maxBytes < 0 && len(events) > 0 {
				return false, nil
			}

			event := &eventv1.Event{}
			events = append(events, event)

			return true, Unmarshal(data, event)
		})

	return events, err
}

// InsertEvents adds events that carry their sequences.
func (r Rows) InsertEvents(conversationID string, events []*eventv1.Event) error {
	for _, event := range events {
		data, err := Marshal(event)
		if err != nil {
			return err
		}

		if err := r.db.Exec(InsertEvent, conversationID, event.GetSequence(),
			Nanos(event.GetTime().AsTime()), data); err != nil {
			return err
		}
	}

	return nil
}

// Request returns what an append under this request id came to, or one without a digest.
func (r Rows) Request(conversationID, requestID string) (contextstore.Request, error) {
	var (
		row  = contextstore.Request{ConversationID: conversationID, ID: requestID}
		data []byte
	)

	found, err := r.db.One("SELECT digest, response FROM requests WHERE conversation_id = ? AND request_id = ?",
		[]any{conversationID, requestID}, &row.Digest, &data)
	if err != nil || !found {
		return row, err
	}

	row.Response = &contextv1.AppendResponse{}

	return row, Unmarshal(data, row.Response)
}

// InsertRequest remembers what an append came to.
func (r Rows) InsertRequest(row contextstore.Request) error {
	response, err := Marshal(row.Response)
	if err != nil {
		return err
	}

	return r.db.Exec(InsertRequest, row.ConversationID, row.ID, row.Digest, response)
}
