package gateway

import (
	"context"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// pageSize is how many events are read at once.
const pageSize = 1000

// foldTurn reads a turn's events and folds them.
func (s *Service) foldTurn(ctx context.Context, turn *contextv1.Turn) (*turnFold, error) {
	fold := newTurnFold(turn.GetTurnId(), turn.GetAgent())

	err := s.read(ctx, turn.GetConversationId(), turn.GetAcceptedSequence(), func(event *eventv1.Event) bool {
		fold.apply(event)

		return !fold.ended()
	})

	return fold, err
}

// read goes through a log from a sequence to its present end, or until visit has enough.
func (s *Service) read(ctx context.Context, conversationID string, from int64, visit func(*eventv1.Event) (more bool)) error {
	for {
		page, err := s.store.ReadEvents(ctx, &contextv1.ReadEventsRequest{
			ConversationId: conversationID, FromSequence: from, Limit: pageSize,
		})
		if err != nil {
			return err
		}

		for _, event := range page.GetEvents() {
			if from = event.GetSequence() + 1; !visit(event) {
				return nil
			}
		}

		if len(page.GetEvents()) == 0 || from > page.GetVersion() {
			return nil
		}
	}
}

// lastTurn returns the id of the turn that began last, or "" if there was none yet. Logs end with their turns, so the
// last page nearly always has it.
func (s *Service) lastTurn(ctx context.Context, conversation *contextv1.Conversation) (string, error) {
	if active := conversation.GetActiveTurn(); active != nil {
		return active.GetTurnId(), nil
	}

	for end := conversation.GetVersion(); end > 0; end -= pageSize {
		page, err := s.store.ReadEvents(ctx, &contextv1.ReadEventsRequest{
			ConversationId: conversation.GetConversationId(), FromSequence: max(end-pageSize+1, 1), Limit: pageSize,
		})
		if err != nil {
			return "", err
		}

		if id := lastEndedTurn(page.GetEvents()); id != "" {
			return id, nil
		}
	}

	return "", nil
}

// lastEndedTurn is the turn that ended last in the events; feedback about older turns may follow.
func lastEndedTurn(events []*eventv1.Event) string {
	last := ""

	for _, event := range events {
		switch event.GetKind().(type) {
		case *eventv1.Event_TurnCompleted, *eventv1.Event_TurnFailed, *eventv1.Event_TurnCancelled:
			last = event.GetTurnId()
		}
	}

	return last
}
