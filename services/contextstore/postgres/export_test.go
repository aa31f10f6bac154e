package postgres

import "context"

// Guesses is how many transactions were right with what they took for granted, and how many were wrong and ran again.
func (s *Store) Guesses() (right, wrong int64) { return s.guesses.right.Load(), s.guesses.wrong.Load() }

// Beside returns another store, with a memory of its own, on this one's connections, which are warm.
func (s *Store) Beside() *Store {
	made := newStore(s.pool, s.listener, len(s.lanes), s.every, s.logger)
	made.disconnect = func() {}

	return made
}

// Settled asks what became of a commit that was never made, as a store does whose answer was lost.
func (s *Store) Settled(ctx context.Context, mark *marker) (made bool, err error) {
	return s.settled(ctx, mark)
}

// NewMarker is the mark of a commit that is not made yet; Leave makes it.
func NewMarker() *marker { return newMarker() }

// Leave commits a marker.
func (s *Store) Leave(ctx context.Context, mark *marker) error {
	_, err := s.pool.Exec(ctx, "INSERT INTO commits (marker) VALUES ($1)", *mark)

	return err
}
