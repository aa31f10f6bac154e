package contextstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

// SaveCheckpoint stores a fold of the log, unless there is a newer one.
func (s *Service) SaveCheckpoint(
	ctx context.Context, request *contextv1.SaveCheckpointRequest,
) (*contextv1.SaveCheckpointResponse, error) {
	by, err := writerOf(ctx)
	if err != nil {
		return nil, err
	}

	err = s.store.Update(ctx, aboutTurn(request.GetLease().GetTurnId()), func(tx Tx) error {
		turn, err := leaseHolder(tx, by, request.GetLease())
		if err != nil {
			return err
		}

		if err := checkpointable(tx, turn, request.GetCheckpoint()); err != nil {
			return err
		}

		return tx.PutCheckpoint(request.GetCheckpoint())
	})
	if err != nil {
		return nil, err
	}

	return &contextv1.SaveCheckpointResponse{}, nil
}

// checkpointable checks that a checkpoint is of the turn's conversation, of its past, and not older than the last one.
func checkpointable(tx Tx, turn Turn, checkpoint *contextv1.Checkpoint) error {
	if checkpoint.GetConversationId() != turn.GetConversationId() {
		return fault.Invalid(fault.Violation{
			Field: "checkpoint.conversation_id", Message: "must be the turn's conversation, " + turn.GetConversationId(),
		})
	}

	conversation, err := tx.Conversation(turn.GetConversationId())
	if err != nil {
		return err
	}

	if checkpoint.GetSequence() > conversation.Version {
		return fault.Invalid(fault.Violation{
			Field: "checkpoint.sequence", Message: fmt.Sprintf("must be at most the log's end, %d", conversation.Version),
		})
	}

	last, err := tx.Checkpoint(conversation.ID)
	if err == nil && last.GetSequence() > checkpoint.GetSequence() {
		err = fault.New(codes.Aborted, "VERSION_CONFLICT", "checkpoint.sequence: there is a newer checkpoint, up to %d",
			last.GetSequence())
	}

	return err
}

// checkpointOf returns the newest checkpoint, or nil.
func checkpointOf(reader Reader, conversationID string) (*contextv1.Checkpoint, error) {
	checkpoint, err := reader.Checkpoint(conversationID)
	if checkpoint.GetSequence() == 0 {
		return nil, err
	}

	return checkpoint, err
}

// GetState reads one shared value.
func (s *Service) GetState(
	ctx context.Context, request *contextv1.GetStateRequest,
) (*contextv1.GetStateResponse, error) {
	response := &contextv1.GetStateResponse{}

	err := s.store.View(ctx, aboutState(request.GetScope(), request.GetKey()), func(reader Reader) (err error) {
		response.Value, response.Version, err = reader.State(request.GetScope(), request.GetKey())

		return err
	})
	if err != nil {
		return nil, err
	}

	return response, nil
}

// PutState writes one shared value if its version is the expected one.
func (s *Service) PutState(
	ctx context.Context, request *contextv1.PutStateRequest,
) (*contextv1.PutStateResponse, error) {
	next := request.GetExpectedVersion() + 1

	err := s.store.Update(ctx, aboutState(request.GetScope(), request.GetKey()), func(tx Tx) error {
		if !strings.HasPrefix(request.GetScope(), tenantScope) {
			if _, err := tx.Conversation(request.GetScope()); err != nil {
				return err
			}
		}

		_, version, err := tx.State(request.GetScope(), request.GetKey())

		switch {
		case err != nil:
			return err
		case version != request.GetExpectedVersion():
			return fault.New(codes.Aborted, "VERSION_CONFLICT", "expected_version: %q is at version %d, not %d",
				request.GetKey(), version, request.GetExpectedVersion()).With("version", strconv.FormatInt(version, 10))
		}

		return tx.PutState(request.GetScope(), request.GetKey(), request.GetValue(), next)
	})
	if err != nil {
		return nil, err
	}

	return &contextv1.PutStateResponse{Version: next}, nil
}
