package contextstore

import (
	"cmp"
	"context"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// pageBytes bounds a page of events, so that it fits into a gRPC message (4 MiB by default).
const pageBytes = 1 << 20

// ReadEvents returns a page of a log. A page ends early once it holds about 1 MiB.
func (s *Service) ReadEvents(
	ctx context.Context, request *contextv1.ReadEventsRequest,
) (*contextv1.ReadEventsResponse, error) {
	limit := cmp.Or(int(request.GetLimit()), 1000)

	events, version, err := s.page(ctx, request.GetConversationId(), request.GetFromSequence(), limit)
	if err != nil {
		return nil, err
	}

	return &contextv1.ReadEventsResponse{Events: events, Version: version}, nil
}

// page reads events and the log's end at one moment.
func (s *Service) page(
	ctx context.Context, conversationID string, from int64, limit int,
) (events []*eventv1.Event, version int64, err error) {
	about := About{Conversation: conversationID, Ahead: func(reader Reader, _ string) {
		_, _ = reader.Conversation(conversationID)
		_, _ = reader.Events(conversationID, from, limit, pageBytes)
	}}

	err = s.store.View(ctx, about, func(reader Reader) error {
		events = nil // of a run before

		conversation, err := reader.Conversation(conversationID)
		if err != nil {
			return err
		}

		version = conversation.Version
		if from > version {
			return nil
		}

		events, err = reader.Events(conversationID, from, limit, pageBytes)

		return err
	})

	return events, version, err
}
