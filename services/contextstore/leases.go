package contextstore

import (
	"context"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

// AcquireLease makes the caller the one executor of a turn.
func (s *Service) AcquireLease(
	ctx context.Context, request *contextv1.AcquireLeaseRequest,
) (*contextv1.AcquireLeaseResponse, error) {
	by, err := writerOf(ctx)
	if err != nil {
		return nil, err
	}

	if err := by.speaksAs("agent", request.GetAgent()); err != nil {
		return nil, err
	}

	response := &contextv1.AcquireLeaseResponse{}

	err = s.update(ctx, aboutLease(request), func(tx Tx) (changes, error) {
		before, err := leaseBefore(tx, request)
		if err != nil {
			return changes{}, err
		}

		decided, err := acquire(before.turn, before.pin, before.withdrawals, request, s.now(tx))
		if err != nil {
			return changes{}, err
		}

		if response.Checkpoint, err = checkpointOf(tx, before.conversation.ID); err != nil { // before anything is written
			return changes{}, err
		}

		conversation := before.conversation
		if len(decided.events) > 0 {
			if conversation, err = s.take(tx, before, decided); err != nil {
				return changes{}, err
			}
		}

		decided.turn.PinnedRevision = resolve(before.withdrawals, decided.pin).successor
		response.Turn, response.Version = decided.turn.Turn, conversation.Version

		return changes{events: decided.events, turns: []Turn{decided.turn}, outcomes: decided.lost != nil}, nil
	})
	if err != nil {
		return nil, err
	}

	return response, nil
}

// aboutLease is about a turn that an agent asks for.
func aboutLease(request *contextv1.AcquireLeaseRequest) About {
	return About{Turn: request.GetTurnId(), Ahead: func(reader Reader, conversationID string) {
		_, _ = reader.Turn(request.GetTurnId())
		_, _ = reader.Conversation(conversationID)
		_, _ = reader.Pins(conversationID)
		_, _ = reader.Withdrawals(request.GetAgent())
		_, _ = reader.Checkpoint(conversationID)
	}}
}

// leaseRows are the rows that a lease is decided upon.
type leaseRows struct {
	turn         Turn
	conversation Conversation
	pin          string
	withdrawals  []Withdrawal
}

func leaseBefore(tx Tx, request *contextv1.AcquireLeaseRequest) (found leaseRows, err error) {
	if found.turn, err = tx.Turn(request.GetTurnId()); err != nil {
		return leaseRows{}, err
	}

	if found.conversation, err = tx.Conversation(found.turn.GetConversationId()); err != nil {
		return leaseRows{}, err
	}

	pins, err := tx.Pins(found.conversation.ID)
	if err != nil {
		return leaseRows{}, err
	}

	found.pin = pins[request.GetAgent()]
	found.withdrawals, err = tx.Withdrawals(request.GetAgent())

	return found, err
}

// take writes a lease that was granted.
func (s *Service) take(tx Tx, before leaseRows, decided acquisition) (Conversation, error) {
	if err := tx.PutTurn(decided.turn); err != nil {
		return Conversation{}, err
	}

	if decided.pin != before.pin {
		if err := tx.PutPin(before.conversation.ID, decided.turn.GetAgent(), decided.pin); err != nil {
			return Conversation{}, err
		}
	}

	if decided.lost != nil {
		if err := s.tell(tx, decided.lost); err != nil {
			return Conversation{}, err
		}
	}

	return s.log(tx, before.conversation, decided.events...)
}

// ReleaseLease gives a lease back early. A lease that is held by nobody, or whose turn has ended, is released already.
func (s *Service) ReleaseLease(
	ctx context.Context, request *contextv1.ReleaseLeaseRequest,
) (*contextv1.ReleaseLeaseResponse, error) {
	by, err := writerOf(ctx)
	if err != nil {
		return nil, err
	}

	err = s.update(ctx, aboutTurn(request.GetLease().GetTurnId()), func(tx Tx) (changes, error) {
		turn, err := tx.Turn(request.GetLease().GetTurnId())
		if err != nil {
			return changes{}, err
		}

		switch {
		case turn.GetEpoch() != request.GetLease().GetEpoch():
			return changes{}, staleEpoch(request.GetLease(), &turn)
		case ended(turn.GetStatus()) || turn.GetLeaseHolder() == "":
			return changes{}, nil
		}

		if err := by.owns(&turn); err != nil {
			return changes{}, err
		}

		turn.release(s.now(tx))

		return changes{turns: []Turn{turn}}, tx.PutTurn(turn)
	})
	if err != nil {
		return nil, err
	}

	return &contextv1.ReleaseLeaseResponse{}, nil
}
