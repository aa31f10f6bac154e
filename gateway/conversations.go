package gateway

import (
	"context"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	"github.com/serinhq/serin/internal/fault"
)

func (s *Service) createConversation(ctx context.Context, principal Principal, req *conversationv1.CreateConversationRequest) (*conversationv1.CreateConversationResponse, error) {
	agent, err := s.agents.pick(req.GetAgent())
	if err != nil {
		return nil, err
	}

	key, err := idempotencyKey(ctx, "")
	if err != nil {
		return nil, err
	}

	created, err := s.store.CreateConversation(ctx, &contextv1.CreateConversationRequest{
		RequestId: storedAs("create/", principal, key), Tenant: principal.Tenant, User: principal.User, Agent: agent,
	})
	if err != nil {
		return nil, err
	}

	return &conversationv1.CreateConversationResponse{Conversation: conversationView(created.GetConversation())}, nil
}

func (s *Service) getConversation(ctx context.Context, principal Principal, req *conversationv1.GetConversationRequest) (*conversationv1.GetConversationResponse, error) {
	conversation, err := s.conversation(ctx, principal, req.GetConversationId())
	if err != nil {
		return nil, err
	}

	view, err := s.fullView(ctx, conversation)
	if err != nil {
		return nil, err
	}

	return &conversationv1.GetConversationResponse{Conversation: view}, nil
}

// conversation returns a conversation that the principal may see; any other is NOT_FOUND.
func (s *Service) conversation(ctx context.Context, principal Principal, id string) (*contextv1.Conversation, error) {
	got, err := s.store.GetConversation(ctx, &contextv1.GetConversationRequest{ConversationId: id})
	if err != nil && fault.CodeOf(err) != codes.NotFound {
		return nil, err
	}

	if err != nil || !principal.maySee(got.GetConversation()) {
		return nil, fault.New(codes.NotFound, "CONVERSATION_NOT_FOUND", "there is no conversation %q", id)
	}

	return got.GetConversation(), nil
}

func (s *Service) deleteConversation(ctx context.Context, principal Principal, req *conversationv1.DeleteConversationRequest) (*conversationv1.DeleteConversationResponse, error) {
	conversation, err := s.conversation(ctx, principal, req.GetConversationId())
	if err != nil {
		return nil, err
	}

	if _, err := s.store.DeleteConversation(ctx, &contextv1.DeleteConversationRequest{
		ConversationId: conversation.GetConversationId(), Force: req.GetForce(), IdleSince: req.GetIdleSince(),
	}); err != nil {
		return nil, err
	}

	return &conversationv1.DeleteConversationResponse{}, nil
}

func (s *Service) listConversations(ctx context.Context, principal Principal, req *conversationv1.ListConversationsRequest) (*conversationv1.ListConversationsResponse, error) {
	query := &contextv1.ListConversationsRequest{
		Tenant: principal.Tenant, User: principal.User, PageSize: req.GetPageSize(), PageToken: req.GetPageToken(),
	}
	if principal.Role == RoleOperator {
		query.User = ""
	}

	page, err := s.store.ListConversations(ctx, query)
	if err != nil {
		return nil, err
	}

	views, err := s.fullViews(ctx, page.GetConversations())
	if err != nil {
		return nil, err
	}

	return &conversationv1.ListConversationsResponse{Conversations: views, NextPageToken: page.GetNextPageToken()}, nil
}

func (s *Service) fullViews(ctx context.Context, conversations []*contextv1.Conversation) ([]*conversationv1.Conversation, error) {
	views := make([]*conversationv1.Conversation, len(conversations))

	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)

	for i, conversation := range conversations {
		if !isWaiting(conversation.GetActiveTurn()) {
			views[i] = conversationView(conversation)

			continue
		}

		group.Go(func() (err error) {
			views[i], err = s.fullView(ctx, conversation)

			return err
		})
	}

	return views, group.Wait() //nolint:wrapcheck // the errors are our own
}

// fullView is the conversation's view with what humans are asked, which only the log knows.
func (s *Service) fullView(ctx context.Context, conversation *contextv1.Conversation) (*conversationv1.Conversation, error) {
	view := conversationView(conversation)

	turn := conversation.GetActiveTurn()
	if !isWaiting(turn) {
		return view, nil
	}

	fold, err := s.foldTurn(ctx, turn)
	if err != nil {
		return nil, err
	}

	view.ActiveTurn = fold.view()

	return view, nil
}

func isWaiting(turn *contextv1.Turn) bool {
	return turn.GetStatus() == contextv1.TurnStatus_TURN_STATUS_INPUT_REQUIRED
}

func conversationView(from *contextv1.Conversation) *conversationv1.Conversation {
	return &conversationv1.Conversation{
		ConversationId: from.GetConversationId(), Tenant: from.GetTenant(), User: from.GetUser(), Agent: from.GetAgent(),
		Version: from.GetVersion(), CreatedAt: from.GetCreatedAt(), UpdatedAt: from.GetUpdatedAt(),
		ActiveTurn: turnView(from.GetActiveTurn()), Revisions: from.GetPins(),
	}
}

// turnView is what the store alone tells about a turn.
func turnView(from *contextv1.Turn) *conversationv1.Turn {
	if from == nil {
		return nil
	}

	view := &conversationv1.Turn{
		TurnId: from.GetTurnId(), Agent: from.GetAgent(), State: conversationv1.TurnState(from.GetStatus()),
	}
	for _, visit := range from.GetVisited() {
		view.Path = append(view.Path, visit.GetAgent())
	}

	return view
}
