package contextstore

import "context"

// Hint says what another process that shares the store may have changed. It only makes who waits look again: the rows
// are the truth, and a hint may be late, come twice, or not come at all.
type Hint struct {
	// Conversations have new events, and Turns another lease, owner or state.
	Conversations, Turns []string
	// Outcomes says that there are new ones.
	Outcomes bool
	// Everything says that hints may have been lost.
	Everything bool
}

// Shared is a store that other processes may write to as well.
type Shared interface {
	Store

	// Watch passes hints on until the context ends. It asks followed, from time to time, which conversations to look after,
	// and finds what it was not told of.
	Watch(ctx context.Context, followed func() []string, told func(Hint))
}

// watch lets those who wait hear of what other processes did.
func (s *Service) watch(shared Shared) {
	ctx, stop := context.WithCancel(context.Background())
	s.unwatch = stop

	s.watching.Go(func() { shared.Watch(ctx, s.hub.followed, s.heed) })
}

// heed makes those look again whom a hint concerns.
func (s *Service) heed(hint Hint) {
	conversations := hint.Conversations
	if hint.Everything {
		conversations = s.hub.followed()

		s.epochs.clear()
		s.turns.wakeAll()
	}

	for _, id := range conversations {
		s.hub.nudge(id)
	}

	for _, id := range hint.Turns {
		s.epochs.forget(id)
		s.turns.wake(id)
	}

	if hint.Outcomes || hint.Everything {
		s.outcomes.wake(anyOutcome)
	}
}
