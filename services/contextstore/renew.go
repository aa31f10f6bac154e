package contextstore

import (
	"context"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

// RenewLease extends a lease, and then waits until there is something to tell or the wait is over.
func (s *Service) RenewLease(
	ctx context.Context, request *contextv1.RenewLeaseRequest,
) (*contextv1.RenewLeaseResponse, error) {
	by, err := writerOf(ctx)
	if err != nil {
		return nil, err
	}

	changed, stop := s.turns.on(request.GetLease().GetTurnId()) // before the first look, so that no change is missed
	defer stop()

	turn, err := s.extend(ctx, by, request)
	if err != nil {
		return nil, err
	}

	wait := min(request.GetWait().AsDuration(), request.GetTtl().AsDuration())
	if turn, err = s.awaitNews(ctx, request.GetLease(), turn, wait, changed); err != nil {
		return nil, err
	}

	return &contextv1.RenewLeaseResponse{
		ExpiresAt:       turn.GetLeaseExpiresAt(),
		CancelRequested: turn.GetCancelRequested(), CancelBy: turn.CancelBy, CancelReason: turn.CancelReason,
	}, nil
}

// extend moves the lease's end.
func (s *Service) extend(ctx context.Context, by writer, request *contextv1.RenewLeaseRequest) (turn Turn, err error) {
	err = s.store.Update(ctx, aboutTurn(request.GetLease().GetTurnId()), func(tx Tx) error { // nobody waits for this: the epoch stays
		if turn, err = leaseHolder(tx, by, request.GetLease()); err != nil {
			return err
		}

		turn.LeaseExpiresAt = timestamp(s.now(tx).Add(request.GetTtl().AsDuration()))

		return tx.PutTurn(turn)
	})

	return turn, err
}

// awaitNews returns the turn once it is to be cancelled or the wait is over, and the fault once the lease is lost.
func (s *Service) awaitNews(
	ctx context.Context, lease *contextv1.LeaseRef, turn Turn, wait time.Duration, changed <-chan struct{},
) (Turn, error) {
	if wait <= 0 {
		return turn, nil
	}

	over := time.NewTimer(wait)
	defer over.Stop()

	look := time.NewTicker(s.config.LeasePoll)
	defer look.Stop()

	for !turn.GetCancelRequested() {
		select {
		case <-over.C:
			return turn, nil
		case <-ctx.Done():
			return Turn{}, ctx.Err()
		case <-s.drained:
			return turn, nil // the lease is extended, which is an answer
		case <-changed:
		case <-look.C:
		}

		var err error
		if turn, err = s.look(ctx, lease); err != nil {
			return Turn{}, err
		}
	}

	return turn, nil
}

// look reads a turn whose lease must still be the current one.
func (s *Service) look(ctx context.Context, lease *contextv1.LeaseRef) (turn Turn, err error) {
	err = s.store.View(ctx, aboutTurn(lease.GetTurnId()), func(reader Reader) error {
		if turn, err = reader.Turn(lease.GetTurnId()); err != nil {
			return err
		}

		return turn.held(lease)
	})

	return turn, err
}

// leaseHolder returns the turn of a lease that the writer holds.
func leaseHolder(reader Reader, by writer, lease *contextv1.LeaseRef) (Turn, error) {
	turn, err := reader.Turn(lease.GetTurnId())
	if err != nil {
		return Turn{}, err
	}

	if err := turn.held(lease); err != nil {
		return Turn{}, err
	}

	return turn, by.owns(&turn)
}
