package contextstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// CreateConversation opens a conversation, or returns the one that this request opened before.
func (s *Service) CreateConversation(
	ctx context.Context, request *contextv1.CreateConversationRequest,
) (*contextv1.CreateConversationResponse, error) {
	var conversation *contextv1.Conversation

	about := About{
		Creation: request.GetRequestId(), Tenant: request.GetTenant(),
		Ahead: func(reader Reader, _ string) { _, _ = reader.ConversationByRequest(request.GetRequestId()) },
	}

	err := s.update(ctx, about, func(tx Tx) (changes, error) {
		row, err := tx.ConversationByRequest(request.GetRequestId())
		if err != nil {
			return changes{}, err
		}

		var done changes

		switch {
		case row.ID == "":
			row, done.events, err = s.open(tx, request)
		case row.RequestDigest != creationDigest(request):
			err = requestReused(request.GetRequestId())
		}

		if err != nil {
			return changes{}, err
		}

		conversation, err = whole(tx, row)

		return done, err
	})
	if err != nil {
		return nil, err
	}

	return &contextv1.CreateConversationResponse{Conversation: conversation}, nil
}

// open writes a new conversation and its first event.
func (s *Service) open(tx Tx, request *contextv1.CreateConversationRequest) (Conversation, []*eventv1.Event, error) {
	now := s.now(tx)

	id, err := s.ids.conversation(now)
	if err != nil {
		return Conversation{}, nil, err
	}

	row := Conversation{
		ID: id, RequestID: request.GetRequestId(), RequestDigest: creationDigest(request),
		Tenant: request.GetTenant(), User: request.GetUser(), Agent: request.GetAgent(),
		Version: 1, CreatedAt: now, UpdatedAt: now,
	}

	created := []*eventv1.Event{{
		Sequence: 1, ConversationId: id, Time: timestamp(now),
		Kind: &eventv1.Event_ConversationCreated{ConversationCreated: &eventv1.ConversationCreated{
			Agent: request.GetAgent(), Tenant: request.GetTenant(), User: request.GetUser(),
		}},
	}}

	if err := tx.InsertConversation(row); err != nil {
		return Conversation{}, nil, err
	}

	return row, created, tx.InsertEvents(id, created)
}

// aboutConversation is about a conversation as it is shown.
func aboutConversation(id string) About {
	return About{Conversation: id, Ahead: func(reader Reader, _ string) {
		_, _ = reader.Conversation(id)
		_, _ = reader.Pins(id)
	}}
}

// GetConversation returns a conversation, its active turn and its pins.
func (s *Service) GetConversation(
	ctx context.Context, request *contextv1.GetConversationRequest,
) (*contextv1.GetConversationResponse, error) {
	response := &contextv1.GetConversationResponse{}

	err := s.store.View(ctx, aboutConversation(request.GetConversationId()), func(reader Reader) error {
		row, err := reader.Conversation(request.GetConversationId())
		if err != nil {
			return err
		}

		response.Conversation, err = whole(reader, row)

		return err
	})
	if err != nil {
		return nil, err
	}

	return response, nil
}

// ListConversations returns a page of conversations, newest first.
func (s *Service) ListConversations(
	ctx context.Context, request *contextv1.ListConversationsRequest,
) (*contextv1.ListConversationsResponse, error) {
	before, err := parsePageToken(request.GetPageToken())
	if err != nil {
		return nil, err
	}

	size := cmp.Or(int(request.GetPageSize()), 50)
	response := &contextv1.ListConversationsResponse{}

	err = s.store.View(ctx, About{Tenant: request.GetTenant()}, func(reader Reader) error {
		page, err := reader.Conversations(request.GetTenant(), request.GetUser(), before, size+1)
		if err != nil {
			return err
		}

		response.Reset() // what a run before gathered

		if len(page) > size {
			page = page[:size]
			response.NextPageToken = pageToken(page[size-1].ID)
		}

		for _, row := range page {
			conversation, err := whole(reader, row)
			if err != nil {
				return err
			}

			response.Conversations = append(response.Conversations, conversation)
		}

		return nil
	})
	if err != nil {
		return nil, err
	}

	return response, nil
}

// whole joins a conversation's row with its active turn and its pins.
func whole(reader Reader, row Conversation) (*contextv1.Conversation, error) {
	pins, err := reader.Pins(row.ID)
	if err != nil {
		return nil, err
	}

	conversation := &contextv1.Conversation{
		ConversationId: row.ID, Tenant: row.Tenant, User: row.User, Agent: row.Agent, Version: row.Version,
		CreatedAt: timestamp(row.CreatedAt), UpdatedAt: timestamp(row.UpdatedAt), Pins: pins,
	}

	if row.ActiveTurnID != "" {
		turn, err := reader.Turn(row.ActiveTurnID)
		if err != nil {
			return nil, err
		}

		conversation.ActiveTurn = turn.Turn

		return conversation, newPinner(reader).show(turn)
	}

	return conversation, nil
}

// creationDigest is what makes two creations the same.
func creationDigest(request *contextv1.CreateConversationRequest) string {
	parts := []string{request.GetTenant(), request.GetUser(), request.GetAgent()}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))

	return hex.EncodeToString(sum[:])
}

// requestReused is the fault for one request id with two contents.
func requestReused(requestID string) error {
	return fault.New(codes.AlreadyExists, "REQUEST_ID_REUSED",
		"request_id: %q was used for another request; choose a new one", requestID)
}
