package contextstore

import (
	"context"
	"slices"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

// idleKept is how long withdrawals are kept at least: whoever ordered one may repeat it.
const idleKept = 30 * 24 * time.Hour

// Withdraw takes a revision out of service. The same (agent, revision, attempt) again changes nothing, but that it may
// fence what was not fenced yet.
func (s *Service) Withdraw(
	ctx context.Context, request *contextv1.WithdrawRequest,
) (*contextv1.WithdrawResponse, error) {
	response := &contextv1.WithdrawResponse{}

	// About everything: no lease may be granted on what is being withdrawn.
	err := s.update(ctx, About{}, func(tx Tx) (changes, error) {
		withdrawals, err := tx.Withdrawals(request.GetAgent())
		if err != nil {
			return changes{}, err
		}

		row := s.withdrawal(withdrawals, request, s.now(tx))

		var done changes

		if request.GetFence() && !row.Fenced {
			if done.turns, err = s.fence(tx, row.Agent, row.Revision); err != nil {
				return changes{}, err
			}

			row.Fenced, row.FencedTurns = true, int32(len(done.turns)) //nolint:gosec // no store holds 2^31 running turns
		}

		response.FencedTurns = row.FencedTurns

		if err := tx.PutWithdrawal(row); err != nil {
			return changes{}, err
		}

		return done, s.forgetIdle(tx, withRow(withdrawals, row))
	})
	if err != nil {
		return nil, err
	}

	return response, nil
}

// withdrawal returns the row of a request: the one that is there, or a new one.
func (s *Service) withdrawal(withdrawals []Withdrawal, request *contextv1.WithdrawRequest, now time.Time) Withdrawal {
	row := Withdrawal{
		Agent: request.GetAgent(), Revision: request.GetRevision(), Attempt: request.GetAttempt(),
		Replacement: request.GetReplacement(), Cause: request.GetCause(), Position: 1, WithdrawnAt: now,
	}

	for _, prior := range withdrawals {
		if prior.Revision == row.Revision && prior.Attempt == row.Attempt {
			return prior
		}

		row.Position = max(row.Position, prior.Position+1)
	}

	return row
}

// withRow returns the withdrawals after one was written.
func withRow(withdrawals []Withdrawal, row Withdrawal) []Withdrawal {
	others := slices.DeleteFunc(slices.Clone(withdrawals), func(prior Withdrawal) bool {
		return prior.Revision == row.Revision && prior.Attempt == row.Attempt
	})

	return append(others, row)
}

// forgetIdle deletes what decides nothing any more and is old enough for nobody to repeat it.
func (s *Service) forgetIdle(tx Tx, withdrawals []Withdrawal) error {
	for _, row := range idle(withdrawals, s.now(tx).Add(-idleKept)) {
		if err := tx.ForgetWithdrawal(row.Agent, row.Revision, row.Attempt); err != nil {
			return err
		}
	}

	return nil
}

// fence takes the epoch from every running turn that an executor of the revision holds.
func (s *Service) fence(tx Tx, agent, revision string) ([]Turn, error) {
	turns, err := tx.LeasedTurns(agent, revision)
	if err != nil {
		return nil, err
	}

	for _, turn := range turns {
		turn.Epoch++
		turn.release(s.now(tx))

		if err := tx.PutTurn(turn); err != nil {
			return nil, err
		}
	}

	return turns, nil
}
