package gateway

import (
	"context"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	memoryv1 "github.com/serinhq/serin/gen/serin/memory/v1"
	"github.com/serinhq/serin/internal/fault"
)

// memories is MemoryService as outsiders get it: each sees what is remembered of them, operators that of their tenant's users.
type memories struct {
	memoryv1.UnsafeMemoryServiceServer

	*Service
}

var _ memoryv1.MemoryServiceServer = memories{}

func (m memories) CreateMemory(ctx context.Context, req *memoryv1.CreateMemoryRequest) (*memoryv1.CreateMemoryResponse, error) {
	return unary(ctx, m.Service, req, m.createMemory)
}

func (m memories) ListMemories(ctx context.Context, req *memoryv1.ListMemoriesRequest) (*memoryv1.ListMemoriesResponse, error) {
	return unary(ctx, m.Service, req, m.listMemories)
}

func (m memories) SearchMemories(ctx context.Context, req *memoryv1.SearchMemoriesRequest) (*memoryv1.SearchMemoriesResponse, error) {
	return unary(ctx, m.Service, req, m.searchMemories)
}

func (m memories) DeleteMemory(ctx context.Context, req *memoryv1.DeleteMemoryRequest) (*memoryv1.DeleteMemoryResponse, error) {
	return unary(ctx, m.Service, req, m.deleteMemory)
}

func (m memories) DeleteAllMemories(ctx context.Context, req *memoryv1.DeleteAllMemoriesRequest) (*memoryv1.DeleteAllMemoriesResponse, error) {
	return unary(ctx, m.Service, req, m.deleteAllMemories)
}

// person is whose memories are meant: the caller's own, or those of a user that an operator names.
func (p Principal) person(named string) (*contextv1.Person, error) {
	person := &contextv1.Person{Tenant: p.Tenant, User: p.User}

	if named == "" || named == p.User {
		return person, nil
	}

	if p.Role != RoleOperator {
		return nil, fault.New(codes.PermissionDenied, "OPERATOR_REQUIRED",
			"user: other users' memories are for tokens with the role operator; yours has the role %s", p.Role)
	}

	person.User = named

	return person, nil
}

func (s *Service) createMemory(ctx context.Context, principal Principal, req *memoryv1.CreateMemoryRequest) (*memoryv1.CreateMemoryResponse, error) {
	person, err := principal.person(req.GetUser())
	if err != nil {
		return nil, err
	}

	key, err := idempotencyKey(ctx, "")
	if err != nil {
		return nil, err
	}

	created, err := s.store.CreateMemory(ctx, &contextv1.CreateMemoryRequest{
		Owner:    &contextv1.CreateMemoryRequest_Person{Person: person},
		MemoryId: storedAs("m", principal, key), Text: req.GetText(), Ttl: req.GetTtl(),
	})
	if fault.Is(err, "MEMORY_ID_REUSED") { // the same key is the same memory
		err = fault.New(codes.AlreadyExists, "REQUEST_ID_REUSED", "idempotency-key: it came with another memory before")
	}

	if err != nil {
		return nil, err
	}

	return &memoryv1.CreateMemoryResponse{Memory: memoryView(created.GetMemory())}, nil
}

func (s *Service) listMemories(ctx context.Context, principal Principal, req *memoryv1.ListMemoriesRequest) (*memoryv1.ListMemoriesResponse, error) {
	person, err := principal.person(req.GetUser())
	if err != nil {
		return nil, err
	}

	page, err := s.store.ListMemories(ctx, &contextv1.ListMemoriesRequest{
		Person: person, PageSize: req.GetPageSize(), PageToken: req.GetPageToken(),
	})
	if err != nil {
		return nil, err
	}

	answer := &memoryv1.ListMemoriesResponse{NextPageToken: page.GetNextPageToken()}
	for _, one := range page.GetMemories() {
		answer.Memories = append(answer.Memories, memoryView(one))
	}

	return answer, nil
}

func (s *Service) searchMemories(
	ctx context.Context, principal Principal, req *memoryv1.SearchMemoriesRequest,
) (*memoryv1.SearchMemoriesResponse, error) {
	person, err := principal.person(req.GetUser())
	if err != nil {
		return nil, err
	}

	found, err := s.store.SearchMemories(ctx, &contextv1.SearchMemoriesRequest{
		Owner: &contextv1.SearchMemoriesRequest_Person{Person: person}, Query: req.GetQuery(), Limit: req.GetLimit(),
	})
	if err != nil {
		return nil, err
	}

	answer := &memoryv1.SearchMemoriesResponse{}
	for _, one := range found.GetMemories() {
		answer.Memories = append(answer.Memories, &memoryv1.FoundMemory{Memory: memoryView(one.GetMemory()), Score: one.GetScore()})
	}

	return answer, nil
}

func (s *Service) deleteMemory(ctx context.Context, principal Principal, req *memoryv1.DeleteMemoryRequest) (*memoryv1.DeleteMemoryResponse, error) {
	person, err := principal.person(req.GetUser())
	if err != nil {
		return nil, err
	}

	gone, err := s.store.DeleteMemories(ctx, &contextv1.DeleteMemoriesRequest{
		Owner: &contextv1.DeleteMemoriesRequest_Person{Person: person}, MemoryIds: []string{req.GetMemoryId()},
	})
	if err != nil {
		return nil, err
	}

	if gone.GetDeleted() == 0 {
		return nil, fault.New(codes.NotFound, "MEMORY_NOT_FOUND", "there is no memory %q", req.GetMemoryId())
	}

	return &memoryv1.DeleteMemoryResponse{}, nil
}

func (s *Service) deleteAllMemories(
	ctx context.Context, principal Principal, req *memoryv1.DeleteAllMemoriesRequest,
) (*memoryv1.DeleteAllMemoriesResponse, error) {
	person, err := principal.person(req.GetUser())
	if err != nil {
		return nil, err
	}

	gone, err := s.store.DeleteMemories(ctx, &contextv1.DeleteMemoriesRequest{
		Owner: &contextv1.DeleteMemoriesRequest_Person{Person: person}, All: true,
	})
	if err != nil {
		return nil, err
	}

	return &memoryv1.DeleteAllMemoriesResponse{Deleted: gone.GetDeleted()}, nil
}

func memoryView(from *contextv1.Memory) *memoryv1.Memory {
	return &memoryv1.Memory{
		MemoryId: from.GetMemoryId(), Text: from.GetText(), Agent: from.GetProvenance().GetAgent(),
		Revision: from.GetProvenance().GetRevision(), ConversationId: from.GetProvenance().GetConversationId(),
		CreatedAt: from.GetCreatedAt(), ExpiresAt: from.GetExpiresAt(),
	}
}
