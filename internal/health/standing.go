package health

import (
	"math/rand/v2"
	"sync"
	"time"
)

// standing is what a check's results amount to over time.
type standing struct {
	grace time.Duration

	mu   sync.Mutex
	last note
	// since is when the status became what it is.
	since time.Time
	// good is what the check counts as; ever is whether it has been good at all.
	good, ever bool
	// wrong is the last failure.
	wrong note
}

// note is one result.
type note struct {
	at   time.Time
	took time.Duration
	err  error
}

// newStanding draws how much more than its grace this process gives a check.
func newStanding(grace time.Duration) *standing {
	return &standing{grace: grace + time.Duration(rand.Float64()*float64(grace)/2)} //nolint:gosec // chance is all that it needs
}

// note takes a result in.
func (s *standing) note(at time.Time, took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.since.IsZero() || (err == nil) != (s.last.err == nil) {
		s.since = at
	}

	s.last = note{at, took, err}
	if err != nil {
		s.wrong = s.last
	}

	if now := err == nil; now != s.good && (at.Sub(s.since) >= s.grace || now && !s.ever) {
		s.good = now
	}

	s.ever = s.ever || err == nil
}

// moving reports whether the status is not yet what the check counts as.
func (s *standing) moving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.good != (s.last.err == nil)
}

// tell fills in what is known.
func (s *standing) tell(result *Result) {
	s.mu.Lock()
	defer s.mu.Unlock()

	result.CountsAs = statusFailed
	if s.good {
		result.CountsAs = statusOK
	}

	result.CheckedAt, result.DurationMS = s.last.at, float64(s.last.took.Microseconds())/1e3
	result.Since = s.since

	if s.wrong.err != nil {
		result.LastError, result.LastErrorAt = s.wrong.err.Error(), s.wrong.at
	}
}
