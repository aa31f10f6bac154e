package contextstore

import (
	"slices"
	"time"
)

// verdict is what withdrawals say about a revision.
type verdict struct {
	// withdrawn says that no new pin may name the revision.
	withdrawn bool
	// successor is the revision to use instead: the end of the chain of replacements, or the revision itself.
	successor string
	// cause is why the revision was withdrawn.
	cause string
}

// resolve follows the chain of replacements from a revision. A revision is in service again once a later attempt names
// it as a replacement, be it its own (a withdrawal that names the revision itself reinstates it).
func resolve(withdrawals []Withdrawal, revision string) verdict {
	latest, found := inForce(withdrawals, revision)
	if !found {
		return verdict{successor: revision}
	}

	decision := verdict{withdrawn: true, cause: latest.Cause, successor: latest.Replacement}
	for range withdrawals { // a chain is no longer than there are withdrawals
		next, withdrawn := inForce(withdrawals, decision.successor)
		if !withdrawn {
			break
		}

		decision.successor = next.Replacement
	}

	return decision
}

// inForce returns the withdrawal that keeps a revision out of service, if there is one.
func inForce(withdrawals []Withdrawal, revision string) (Withdrawal, bool) {
	latest, found := latestOf(withdrawals, revision)

	return latest, found && latest.Replacement != revision
}

// latestOf returns the withdrawal that decides about a revision, if there is one.
func latestOf(withdrawals []Withdrawal, revision string) (latest Withdrawal, found bool) {
	for _, candidate := range withdrawals {
		concerns := candidate.Revision == revision || candidate.Replacement == revision
		if concerns && (!found || candidate.after(latest)) {
			latest, found = candidate, true
		}
	}

	return latest, found
}

// idle returns the withdrawals from before a time that decide about no revision: later ones do about all that they name.
func idle(withdrawals []Withdrawal, before time.Time) []Withdrawal {
	decides := map[string]Withdrawal{}

	for _, row := range withdrawals {
		for _, revision := range []string{row.Revision, row.Replacement} {
			decides[revision], _ = latestOf(withdrawals, revision)
		}
	}

	return slices.DeleteFunc(slices.Clone(withdrawals), func(row Withdrawal) bool {
		return !row.WithdrawnAt.Before(before) || decides[row.Revision] == row || decides[row.Replacement] == row
	})
}

// after orders withdrawals by attempt, and within an attempt by when they came.
func (w Withdrawal) after(other Withdrawal) bool {
	if w.Attempt != other.Attempt {
		return w.Attempt > other.Attempt
	}

	return w.Position > other.Position
}
