package canary

import (
	"slices"
	"time"
)

const (
	// mostWithdrawnKnown is how many revisions are remembered as withdrawn, beside those that are rejected. Should one that
	// was forgotten be tried again, the store says that it is withdrawn, which aborts it; a retry then reinstates it.
	mostWithdrawnKnown = 50
	// mostPending is how many withdrawals may wait for the store when another candidate begins. Each candidate that is
	// superseded adds one: what the store can't take must not grow without an end.
	mostPending = 10
)

// withdraw takes a revision out of service: its pins move to the successor, and so do those that were moved to it.
func (d *decision) withdraw(revision, successor, cause string, fence bool) {
	s := &d.state
	d.ask(Withdrawal{Revision: revision, Replacement: successor, Attempt: s.Attempt, Fence: fence, Cause: cause})

	if s.Candidate == revision {
		s.Candidate, s.UnreadySince = "", time.Time{}
	}

	for i := range s.Leaving {
		if s.Leaving[i].Successor == revision {
			s.Leaving[i].Successor = successor
		}
	}

	d.stay(revision)
	d.leave(Leaving{Revision: revision, Since: d.now, Successor: successor})
}

// handOver has the conversations of a revision go on with the stable one, though the revision stays for an undo: no route
// leads to it any more.
func (d *decision) handOver(revision string) {
	d.ask(Withdrawal{Revision: revision, Replacement: d.state.Stable, Attempt: d.state.Attempt, Cause: CauseRetired})
}

// takeOver is the way back: the revision serves again, in an attempt of its own.
func (d *decision) takeOver(revision string) {
	if _, withdrawn := d.state.Withdrawn[revision]; withdrawn {
		d.state.Attempt++
		d.reinstate(revision)
	}
}

// ask has the store withdraw a revision.
func (d *decision) ask(one Withdrawal) {
	s := &d.state
	s.Withdrawals = append(s.Withdrawals, one)

	if s.Withdrawn == nil {
		s.Withdrawn = map[string]int64{}
	}

	s.Withdrawn[one.Revision] = one.Attempt
	forgetOldest(s.Withdrawn, mostWithdrawnKnown, s.Rejected)
}

// reinstate has the store take a revision that was withdrawn back into service, in an attempt of its own: the store
// orders by attempts what it is told of a revision, and this one may be withdrawn again.
func (d *decision) reinstate(revision string) {
	if _, withdrawn := d.state.Withdrawn[revision]; !withdrawn {
		return
	}

	delete(d.state.Withdrawn, revision)
	d.state.Withdrawals = append(d.state.Withdrawals, Withdrawal{
		Revision: revision, Replacement: revision, Attempt: d.state.Attempt, Cause: CauseUndone,
	})
	d.state.Attempt++
}

// confirm forgets the withdrawals that the store has carried out.
func (d *decision) confirm() bool {
	before := len(d.state.Withdrawals)
	d.state.Withdrawals = slices.DeleteFunc(d.state.Withdrawals, func(w Withdrawal) bool {
		return slices.Contains(d.seen.Confirmed, w)
	})

	return len(d.state.Withdrawals) < before
}

// pending reports whether the store has not confirmed yet what it was told of a revision.
func (s State) pending(revision string) bool {
	return slices.ContainsFunc(s.Withdrawals, func(w Withdrawal) bool { return w.Revision == revision })
}

// leave puts a revision last among those that leave, and stay takes one out.
func (d *decision) leave(leaving Leaving) { d.state.Leaving = append(d.state.Leaving, leaving) }

func (d *decision) stay(revision string) {
	d.state.Leaving = slices.DeleteFunc(d.state.Leaving, func(l Leaving) bool { return l.Revision == revision })
}
