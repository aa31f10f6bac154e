package contextstore

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

// DeleteConversation deletes a conversation for good, with all that was kept for it.
func (s *Service) DeleteConversation(
	ctx context.Context, request *contextv1.DeleteConversationRequest,
) (*contextv1.DeleteConversationResponse, error) {
	id := request.GetConversationId()

	var running string

	err := s.store.Update(ctx, aboutConversation(id), func(tx Tx) error {
		conversation, err := tx.Conversation(id)
		if err != nil {
			return err
		}

		if err := conversation.deletable(request); err != nil {
			return err
		}

		running = conversation.ActiveTurnID

		if err := tx.DeleteConversation(id); err != nil {
			return err
		}

		return tx.ForgetMemories(conversation.Tenant, s.now(tx), forgetsMemories)
	})
	if err != nil {
		return nil, err
	}

	s.hub.nudge(id)

	if running != "" {
		s.epochs.forget(running)
		s.turns.wake(running)
	}

	return &contextv1.DeleteConversationResponse{}, nil
}

// deletable checks that a conversation may go.
func (c Conversation) deletable(request *contextv1.DeleteConversationRequest) error {
	if c.ActiveTurnID != "" && !request.GetForce() {
		return fault.New(codes.FailedPrecondition, "TURN_IN_PROGRESS",
			"turn %s of conversation %s runs or waits: cancel it first, or force the deletion", c.ActiveTurnID, c.ID)
	}

	if since := request.GetIdleSince(); since != nil && c.UpdatedAt.After(since.AsTime()) {
		return fault.New(codes.FailedPrecondition, "CONVERSATION_IN_USE", "conversation %s was last used at %s, after %s",
			c.ID, c.UpdatedAt.Format(time.RFC3339), since.AsTime().Format(time.RFC3339))
	}

	return nil
}
