package postgres

// Guesses is how many transactions were right with what they took for granted, and how many were wrong and ran again.
func (s *Store) Guesses() (right, wrong int64) { return s.guesses.right.Load(), s.guesses.wrong.Load() }

// Beside returns another store, with a memory of its own, on this one's connections, which are warm.
func (s *Store) Beside() *Store {
	made := newStore(s.pool, s.listener, len(s.lanes), s.every, s.logger)
	made.disconnect = func() {}

	return made
}
