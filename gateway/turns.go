package gateway

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

func (s *Service) cancelTurn(ctx context.Context, principal Principal, req *conversationv1.CancelTurnRequest) (*conversationv1.CancelTurnResponse, error) {
	conversation, err := s.conversation(ctx, principal, req.GetConversationId())
	if err != nil {
		return nil, err
	}

	turnID := conversation.GetActiveTurn().GetTurnId()
	if turnID == "" {
		return nil, fault.New(codes.FailedPrecondition, "NO_ACTIVE_TURN", "no turn runs in conversation %q", req.GetConversationId())
	}

	appended, err := s.store.Append(ctx, &contextv1.AppendRequest{
		ConversationId: conversation.GetConversationId(),
		RequestId:      "cancel/" + turnID,
		RequestDigest:  "cancel", // whoever asks again, and why, changes nothing
		Events: []*eventv1.Event{{
			TurnId: turnID,
			Kind: &eventv1.Event_CancelRequested{CancelRequested: &eventv1.CancelRequested{
				By: principal.User, Reason: req.GetReason(),
			}},
		}},
	})
	if err != nil {
		return nil, err
	}

	s.dispatchIfIdle(appended.GetTurn()) //nolint:contextcheck // a turn outlives the request

	return &conversationv1.CancelTurnResponse{TurnId: turnID}, nil
}

func (s *Service) giveFeedback(ctx context.Context, principal Principal, req *conversationv1.GiveFeedbackRequest) (*conversationv1.GiveFeedbackResponse, error) {
	conversation, err := s.conversation(ctx, principal, req.GetConversationId())
	if err != nil {
		return nil, err
	}

	turnID, err := s.turnMeant(ctx, conversation, req.GetTurnId())
	if err != nil {
		return nil, err
	}

	key, err := idempotencyKey(ctx, "")
	if err != nil {
		return nil, err
	}

	_, err = s.store.Append(ctx, &contextv1.AppendRequest{
		ConversationId: conversation.GetConversationId(),
		RequestId:      storedAs("feedback/", principal, key),
		RequestDigest:  digest(req.GetTurnId(), req.GetRating().String(), req.GetComment()),
		Events: []*eventv1.Event{{
			TurnId: turnID,
			Kind: &eventv1.Event_FeedbackGiven{FeedbackGiven: &eventv1.FeedbackGiven{
				Rating: req.GetRating(), Comment: req.GetComment(), By: principal.User,
			}},
		}},
	})
	if err != nil {
		return nil, err
	}

	return &conversationv1.GiveFeedbackResponse{}, nil
}

// turnMeant is the named turn of the conversation, or its last one.
func (s *Service) turnMeant(ctx context.Context, conversation *contextv1.Conversation, named string) (string, error) {
	if named == "" {
		last, err := s.lastTurn(ctx, conversation)
		if err == nil && last == "" {
			err = fault.New(codes.NotFound, "TURN_NOT_FOUND", "conversation %q has no turn yet", conversation.GetConversationId())
		}

		return last, err
	}

	got, err := s.store.GetTurn(ctx, &contextv1.GetTurnRequest{TurnId: named})
	if err != nil && fault.CodeOf(err) != codes.NotFound {
		return "", err
	}

	if err != nil || got.GetTurn().GetConversationId() != conversation.GetConversationId() {
		return "", fault.New(codes.NotFound, "TURN_NOT_FOUND", "there is no turn %q in conversation %q", named, conversation.GetConversationId())
	}

	return named, nil
}

// dispatchIfIdle has a turn dispatched that may run, and that nobody executes.
func (s *Service) dispatchIfIdle(turn *contextv1.Turn) {
	if needsExecutor(turn, time.Now()) {
		s.dispatch.start(turn)
	}
}
