package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

// fakeMemory keeps the memories of the store's one user. Every search finds all, in the order of their creation.
type fakeMemory struct {
	mu       sync.Mutex
	kept     []*contextv1.Memory
	searches []*contextv1.SearchMemoriesRequest
	created  []*contextv1.CreateMemoryRequest
	// problem is said with what is found; refuse, if set, is what creating fails with; slow, if set, never answers a search.
	problem string
	refuse  error
	slow    bool
	// absent is a store of a release before memories.
	absent bool
}

func (m *fakeMemory) add(id, text string) {
	m.kept = append(m.kept, &contextv1.Memory{
		MemoryId: id, Text: text, CreatedAt: timestamppb.New(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)),
	})
}

func (m *fakeMemory) texts() []string {
	m.mu.Lock()
	defer m.mu.Unlock()

	texts := make([]string, len(m.kept))
	for i, one := range m.kept {
		texts[i] = one.GetText()
	}

	return texts
}

// holds checks a lease as the log's methods do.
func (s *fakeStore) holds(lease *contextv1.LeaseRef) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.held(lease)
}

func (s *fakeStore) CreateMemory(_ context.Context, request *contextv1.CreateMemoryRequest) (*contextv1.CreateMemoryResponse, error) {
	if err := s.holds(request.GetLease()); err != nil {
		return nil, err
	}

	m := &s.memory

	m.mu.Lock()
	defer m.mu.Unlock()

	m.created = append(m.created, request)

	for _, one := range m.kept {
		if one.GetMemoryId() == request.GetMemoryId() {
			if one.GetText() != request.GetText() {
				return nil, fault.New(codes.AlreadyExists, "MEMORY_ID_REUSED", "memory_id: %s has another text", one.GetMemoryId())
			}

			return &contextv1.CreateMemoryResponse{Memory: one, Replayed: true}, nil
		}
	}

	if m.refuse != nil {
		return nil, m.refuse
	}

	m.add(request.GetMemoryId(), request.GetText())

	return &contextv1.CreateMemoryResponse{Memory: m.kept[len(m.kept)-1]}, nil
}

func (s *fakeStore) SearchMemories(
	ctx context.Context, request *contextv1.SearchMemoriesRequest,
) (*contextv1.SearchMemoriesResponse, error) {
	if err := s.holds(request.GetLease()); err != nil {
		return nil, err
	}

	m := &s.memory

	m.mu.Lock()
	defer m.mu.Unlock()

	if m.absent {
		return nil, fault.New(codes.Unimplemented, "", "unknown method SearchMemories")
	}

	m.searches = append(m.searches, request)

	if m.slow {
		m.mu.Unlock()
		<-ctx.Done()
		m.mu.Lock()

		return nil, fault.From(ctx.Err())
	}

	answer := &contextv1.SearchMemoriesResponse{Ranking: contextv1.Ranking_RANKING_TEXT, Problem: m.problem}
	if request.GetEmbedding() != nil {
		answer.Ranking = contextv1.Ranking_RANKING_HYBRID
	}

	for i, one := range m.kept[:min(len(m.kept), int(request.GetLimit()))] {
		answer.Memories = append(answer.Memories, &contextv1.FoundMemory{Memory: one, Score: 1 / float64(61+i), TextRank: int32(i) + 1})
	}

	return answer, nil
}

func (s *fakeStore) DeleteMemories(_ context.Context, request *contextv1.DeleteMemoriesRequest) (*contextv1.DeleteMemoriesResponse, error) {
	if err := s.holds(request.GetLease()); err != nil {
		return nil, err
	}

	m := &s.memory

	m.mu.Lock()
	defer m.mu.Unlock()

	before := len(m.kept)
	m.kept = slices.DeleteFunc(m.kept, func(one *contextv1.Memory) bool { return slices.Contains(request.GetMemoryIds(), one.GetMemoryId()) })

	return &contextv1.DeleteMemoriesResponse{Deleted: int64(before - len(m.kept))}, nil
}

// embed answers with a vector of two numbers, or, for the model "broken", with an error that repeats the text.
func (m *fakeModel) embed(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Model string `json:"model"`
		Input string `json:"input"`
	}

	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		m.t.Errorf("bad request: %v", err)
	}

	m.mu.Lock()
	m.embedded = append(m.embedded, asked.Input)
	m.mu.Unlock()

	w.Header().Set("Content-Type", "application/json")

	if asked.Model == "broken" {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": "can't embed " + asked.Input}})

		return
	}

	vector := []float64{1, float64(strings.Count(asked.Input, "e"))}
	if asked.Model == "zero" {
		vector = []float64{0, 0}
	}

	_ = json.NewEncoder(w).Encode(map[string]any{
		"object": "list", "model": asked.Model,
		"data": []any{map[string]any{"object": "embedding", "index": 0, "embedding": vector}},
	})
}
