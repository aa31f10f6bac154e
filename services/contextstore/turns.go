package contextstore

import (
	"cmp"
	"context"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

// GetTurn returns a turn.
func (s *Service) GetTurn(ctx context.Context, request *contextv1.GetTurnRequest) (*contextv1.GetTurnResponse, error) {
	response := &contextv1.GetTurnResponse{}

	err := s.store.View(ctx, aboutTurn(request.GetTurnId()), func(reader Reader) error {
		turn, err := reader.Turn(request.GetTurnId())
		response.Turn = turn.Turn

		if err != nil {
			return err
		}

		return newPinner(reader).show(turn)
	})
	if err != nil {
		return nil, err
	}

	return response, nil
}

// ListResumableTurns returns turns that run but that nobody executes.
func (s *Service) ListResumableTurns(
	ctx context.Context, request *contextv1.ListResumableTurnsRequest,
) (*contextv1.ListResumableTurnsResponse, error) {
	response := &contextv1.ListResumableTurnsResponse{}

	err := s.store.View(ctx, About{}, func(reader Reader) error {
		turns, err := reader.ResumableTurns(s.now(reader), cmp.Or(int(request.GetLimit()), 100))
		if err != nil {
			return err
		}

		response.Turns = nil // of a run before

		for _, turn := range turns {
			response.Turns = append(response.Turns, turn.Turn)
		}

		return newPinner(reader).show(turns...)
	})
	if err != nil {
		return nil, err
	}

	return response, nil
}
