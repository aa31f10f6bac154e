package contextstore

import (
	"context"
	"time"

	"google.golang.org/grpc"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

// outcomesPage is how many outcomes go into one message: they are well below 1 KiB each.
const outcomesPage = 1000

// forgets is how many old outcomes may go for each one that comes: more than one, so that a store that holds many old ones
// becomes smaller.
const forgets = 2

// anyOutcome is what watchers of outcomes wait for.
const anyOutcome = ""

// WatchOutcomes sends outcomes from a position on, and then what follows. The position is the truth: being woken only
// makes it look again, so that a slow reader or a lost wake-up costs time and nothing else.
func (s *Service) WatchOutcomes(
	request *contextv1.WatchOutcomesRequest, stream grpc.ServerStreamingServer[contextv1.WatchOutcomesResponse],
) error {
	stored, stop := s.outcomes.on(anyOutcome) // before the first look, so that no outcome is missed
	defer stop()

	watching := &watching{service: s, stream: stream, agent: request.GetAgent(), next: request.GetFromPosition()}
	if err := watching.begin(); err != nil {
		return err
	}

	poll := time.NewTicker(s.config.FollowPoll)
	defer poll.Stop()

	for {
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-s.drained:
			return goingAway()
		case <-stored:
		case <-poll.C:
		}

		if err := watching.catchUp(); err != nil {
			return err
		}
	}
}

// tell stores outcomes, and forgets old ones instead.
func (s *Service) tell(tx Tx, outcomes ...*contextv1.Outcome) error {
	for _, outcome := range outcomes {
		if err := tx.InsertOutcome(outcome); err != nil {
			return err
		}
	}

	if len(outcomes) == 0 {
		return nil
	}

	return tx.ForgetOutcomes(s.now(tx).Add(-s.config.OutcomesKept), forgets*len(outcomes))
}

// watching is one reader's way through the outcomes.
type watching struct {
	service *Service
	stream  grpc.ServerStreamingServer[contextv1.WatchOutcomesResponse]
	agent   string
	// next is the first position that the reader has not had; negative for what is yet to come.
	next int64
}

// begin sends the first answer, also if there is nothing to tell.
func (w *watching) begin() error {
	page, err := w.page(w.stream.Context())
	if err != nil {
		return err
	}

	if err := w.stream.Send(page); err != nil {
		return err
	}

	return w.catchUp()
}

// catchUp sends what there is.
func (w *watching) catchUp() error {
	for {
		page, err := w.page(w.stream.Context())
		if err != nil || len(page.GetOutcomes()) == 0 {
			return err
		}

		if err := w.stream.Send(page); err != nil {
			return err
		}
	}
}

// page reads the next outcomes and moves on.
func (w *watching) page(ctx context.Context) (page *contextv1.WatchOutcomesResponse, err error) {
	page = &contextv1.WatchOutcomesResponse{}

	err = w.service.store.View(ctx, About{}, func(reader Reader) error {
		page.Outcomes = nil // of a run before

		if page.Position, err = reader.LastOutcome(); err != nil || w.next < 0 || w.next > page.GetPosition() {
			return err
		}

		page.Outcomes, err = reader.Outcomes(w.agent, w.next, outcomesPage)

		return err
	})
	if err != nil {
		return nil, err
	}

	w.move(page)

	return page, nil
}

// move takes the reader past a page. A page that is not full holds all that there was.
func (w *watching) move(page *contextv1.WatchOutcomesResponse) {
	outcomes := page.GetOutcomes()

	switch {
	case len(outcomes) == outcomesPage:
		w.next = outcomes[outcomesPage-1].GetPosition() + 1
	case w.next < 0:
		w.next = page.GetPosition() + 1
	default:
		w.next = max(w.next, page.GetPosition()+1)
	}
}
