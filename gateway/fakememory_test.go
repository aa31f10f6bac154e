package gateway

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

// ofPerson are the memories of one user, newest first.
func (f *fakeStore) ofPerson(person *contextv1.Person) []*contextv1.Memory {
	var found []*contextv1.Memory

	for _, one := range slices.Backward(f.memories) {
		if one.GetTenant() == person.GetTenant() && one.GetUser() == person.GetUser() {
			found = append(found, one)
		}
	}

	return found
}

func (f *fakeStore) CreateMemory(_ context.Context, req *contextv1.CreateMemoryRequest) (*contextv1.CreateMemoryResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	for _, one := range f.memories {
		if one.GetMemoryId() != req.GetMemoryId() {
			continue
		}

		if one.GetText() != req.GetText() || one.GetUser() != req.GetPerson().GetUser() {
			return nil, fault.New(codes.AlreadyExists, "MEMORY_ID_REUSED", "reused")
		}

		return &contextv1.CreateMemoryResponse{Memory: one, Replayed: true}, nil
	}

	made := &contextv1.Memory{
		MemoryId: req.GetMemoryId(), Tenant: req.GetPerson().GetTenant(), User: req.GetPerson().GetUser(), Text: req.GetText(),
		CreatedAt: timestamppb.Now(), Provenance: &contextv1.Provenance{},
	}
	if req.GetTtl() != nil {
		made.ExpiresAt = timestamppb.New(made.GetCreatedAt().AsTime().Add(req.GetTtl().AsDuration()))
	}

	f.memories = append(f.memories, made)

	return &contextv1.CreateMemoryResponse{Memory: proto.CloneOf(made)}, nil
}

func (f *fakeStore) ListMemories(_ context.Context, req *contextv1.ListMemoriesRequest) (*contextv1.ListMemoriesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	return &contextv1.ListMemoriesResponse{Memories: f.ofPerson(req.GetPerson()), NextPageToken: req.GetPageToken() + "+"}, nil
}

func (f *fakeStore) SearchMemories(_ context.Context, req *contextv1.SearchMemoriesRequest) (*contextv1.SearchMemoriesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	answer := &contextv1.SearchMemoriesResponse{Ranking: contextv1.Ranking_RANKING_TEXT}

	for _, one := range f.ofPerson(req.GetPerson()) {
		if strings.Contains(one.GetText(), req.GetQuery()) {
			answer.Memories = append(answer.Memories, &contextv1.FoundMemory{Memory: one, Score: 0.5})
		}
	}

	return answer, nil
}

func (f *fakeStore) DeleteMemories(_ context.Context, req *contextv1.DeleteMemoriesRequest) (*contextv1.DeleteMemoriesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	theirs, before := f.ofPerson(req.GetPerson()), len(f.memories)
	f.memories = slices.DeleteFunc(f.memories, func(one *contextv1.Memory) bool {
		return slices.Contains(theirs, one) && (req.GetAll() || slices.Contains(req.GetMemoryIds(), one.GetMemoryId()))
	})

	return &contextv1.DeleteMemoriesResponse{Deleted: int64(before - len(f.memories))}, nil
}
