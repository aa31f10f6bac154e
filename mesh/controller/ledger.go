package controller

import (
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

// ledger holds the numbers of one agent's attempt.
type ledger struct {
	Attempt   int64     `json:"attempt"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	// From is the first position that counts.
	From int64 `json:"from"`
	// Taken is the last position that was counted or passed over.
	Taken     int64             `json:"taken,omitempty"`
	Revisions map[string]*tally `json:"revisions"`
	// Nobody's are turns that failed before any revision took them.
	Nobodys int64 `json:"nobodys,omitempty"`
}

func newLedger(attempt int64, startedAt time.Time, from int64) *ledger {
	return &ledger{Attempt: attempt, StartedAt: startedAt, From: from, Taken: max(from-1, 0), Revisions: map[string]*tally{}}
}

// take counts an outcome, once, if it belongs to the attempt: segments that began earlier do not.
func (l *ledger) take(outcome *contextv1.Outcome) {
	if outcome.GetPosition() <= l.Taken {
		return
	}

	l.Taken = outcome.GetPosition()
	began := outcome.GetBeganAt()

	switch {
	case began != nil && began.AsTime().Before(l.StartedAt):
	case outcome.GetRevision() == "":
		if outcome.GetKind() == contextv1.Outcome_KIND_FAILED {
			l.Nobodys++
		}
	default:
		l.of(outcome.GetRevision()).take(outcome)
	}
}

func (l *ledger) of(revision string) *tally {
	found := l.Revisions[revision]
	if found == nil {
		found = newTally()
		l.Revisions[revision] = found
	}

	return found
}
