package postgres

// Guesses is how many transactions were right with what they took for granted, and how many were wrong and ran again.
func (s *Store) Guesses() (right, wrong int64) { return s.guesses.right.Load(), s.guesses.wrong.Load() }
