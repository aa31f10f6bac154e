package contextstore

import (
	"context"
	"strings"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

// forgetsMemories is how many expired memories may go with a write: more than one, so that a store that holds many of them
// becomes smaller.
const forgetsMemories = 20

// CreateMemory stores a memory of the owner's.
func (s *Service) CreateMemory(
	ctx context.Context, request *contextv1.CreateMemoryRequest,
) (*contextv1.CreateMemoryResponse, error) {
	of, err := ownerOf(ctx, request)
	if err != nil {
		return nil, err
	}

	vector, err := unit(request.GetEmbedding())
	if err != nil {
		return nil, err
	}

	if strings.ContainsRune(request.GetText(), 0) {
		return nil, fault.Invalid(fault.Violation{Field: "text", Message: "must be without zero bytes"})
	}

	response := &contextv1.CreateMemoryResponse{}

	err = s.updateMemories(ctx, of, func(tx Tx, scope MemoryScope, turn Turn) error {
		row := memoryOf(request, scope, turn, vector)

		response.Memory, response.Replayed, err = s.remember(tx, scope, row)

		return err
	})
	if err != nil {
		return nil, err
	}

	return response, nil
}

// memoryOf is the row of a memory that is asked for.
func memoryOf(request *contextv1.CreateMemoryRequest, scope MemoryScope, turn Turn, vector []float32) Memory {
	row := Memory{
		ID: request.GetMemoryId(), Tenant: scope.Tenant, User: scope.User,
		Text: request.GetText(), Words: strings.Join(wordsOf(request.GetText()), " "),
		CreatedAt: scope.Now, Model: request.GetEmbedding().GetModel(), Dimensions: len(vector), Vector: vector,
	}

	if turn.Turn != nil {
		row.ConversationID, row.TurnID = turn.GetConversationId(), turn.GetTurnId()
		row.Agent, row.Revision = turn.GetAgent(), turn.Revision
	}

	if request.GetTtl() != nil {
		row.ExpiresAt = scope.Now.Add(request.GetTtl().AsDuration())
	}

	return row
}

// remember stores a memory, or returns the one that has its id.
func (s *Service) remember(tx Tx, scope MemoryScope, row Memory) (memory *contextv1.Memory, replayed bool, err error) {
	if err := tx.ForgetMemories(scope.Tenant, scope.Now, forgetsMemories); err != nil {
		return nil, false, err
	}

	prior, err := tx.Memory(row.Tenant, row.ID)

	switch {
	case err != nil:
		return nil, false, err
	case prior.ID == "":
		break
	case prior.expired(scope): // it could have been forgotten already
		err = tx.ForgetMemory(prior)
	case prior.User != row.User || prior.Text != row.Text:
		err = fault.New(codes.AlreadyExists, "MEMORY_ID_REUSED",
			"memory_id: %q is that of another memory; choose a new one", row.ID)
	default:
		return prior.show(), true, nil
	}

	if err == nil {
		err = s.hasRoom(tx, scope)
	}

	if err == nil {
		err = keep(tx, &row)
	}

	if err != nil {
		return nil, false, err
	}

	return row.show(), false, nil
}

// hasRoom checks that the user may have one more memory.
func (s *Service) hasRoom(tx Tx, scope MemoryScope) error {
	count, err := tx.CountMemories(scope)
	if err == nil && count >= s.config.MemoriesKept {
		err = fault.New(codes.ResourceExhausted, "TOO_MANY_MEMORIES",
			"the user has %d memories, as many as may be: delete some, or let them expire (ttl)", count)
	}

	return err
}

// keep inserts a memory, without its vector where none are kept.
func keep(tx Tx, row *Memory) error {
	if row.Vector != nil {
		problem, err := tx.VectorProblem()
		if err != nil {
			return err
		}

		if problem != "" {
			row.Model, row.Dimensions, row.Vector = "", 0, nil
		}
	}

	return tx.InsertMemory(*row)
}

// expired says whether the memory is one of those that are not there.
func (m *Memory) expired(scope MemoryScope) bool {
	return !m.ExpiresAt.IsZero() && !m.ExpiresAt.After(scope.Now)
}

// show is the memory as the world sees it.
func (m *Memory) show() *contextv1.Memory {
	shown := &contextv1.Memory{
		MemoryId: m.ID, Tenant: m.Tenant, User: m.User, Text: m.Text, CreatedAt: timestamp(m.CreatedAt), EmbeddingModel: m.Model,
		Provenance: &contextv1.Provenance{
			ConversationId: m.ConversationID, TurnId: m.TurnID, Agent: m.Agent, Revision: m.Revision,
		},
	}

	if !m.ExpiresAt.IsZero() {
		shown.ExpiresAt = timestamp(m.ExpiresAt)
	}

	return shown
}
