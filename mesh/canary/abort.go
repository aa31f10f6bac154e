package canary

import (
	"cmp"
	"maps"
	"slices"
)

// mostRejected is how many revisions are remembered as rejected.
const mostRejected = 50

// abort takes the candidate back. Once that is done, all that is left to ask for is the fence.
func (d *decision) abort(c Command) error {
	switch {
	case d.state.InProgress():
		reason := c.because("%s aborted by hand at %d%%", d.state.Candidate, d.state.Weight)
		d.reject(reason, c.Fence)

		return nil
	case c.Fence && d.state.lastRejected() != "":
		d.fence(c, d.state.lastRejected())

		return nil
	case d.state.Phase == Aborting:
		return nil
	default:
		return d.noCandidate()
	}
}

// fence withdraws again what was withdrawn in this attempt, now from the segments that still run on it too.
func (d *decision) fence(c Command, revision string) {
	i := slices.IndexFunc(d.state.Leaving, func(l Leaving) bool { return l.Revision == revision })
	again := Withdrawal{
		Revision: revision, Replacement: d.state.Leaving[i].Successor, Attempt: d.state.Attempt, Cause: CauseAborted, Fence: true,
	}

	if slices.Contains(d.state.Withdrawals, again) {
		return
	}

	d.state.Withdrawals = append(d.state.Withdrawals, again)
	d.tell("abort", "%s", c.because("%s fenced by hand: what still ran on it goes on elsewhere", revision))
}

// lastRejected returns the revision that was rejected in this attempt, as long as it is still leaving.
func (s State) lastRejected() string {
	for _, leaving := range s.Leaving {
		if attempt, rejected := s.Rejected[leaving.Revision]; rejected && attempt == s.Attempt && !leaving.Gone {
			return leaving.Revision
		}
	}

	return ""
}

// reject aborts the rollout, and has its candidate not tried again by itself.
func (d *decision) reject(reason string, fence bool) {
	d.tell("abort", "%s", reason)
	d.markRejected(d.state.Candidate)
	d.giveBack(reason, fence)
}

// takeBack aborts a rollout that is not wanted any more, if there is one. That says nothing against its candidate.
func (d *decision) takeBack(reason string) {
	if d.state.InProgress() {
		d.tell("abort", "%s", reason)
		d.giveBack(reason, false)
	}
}

// giveBack gives everything back to the stable revision. It waits for nothing.
func (d *decision) giveBack(reason string, fence bool) {
	d.withdraw(d.state.Candidate, d.state.Stable, CauseAborted, fence)
	d.move(Aborting, 0, reason)
}

// failed ends an abort, once the mesh and the store have carried it out. It has failed if the candidate was rejected; if
// it was just not wanted any more, all is as it was.
func (d *decision) failed() bool {
	if d.state.Phase != Aborting || d.state.Reached.IsZero() || len(d.state.Withdrawals) > 0 {
		return false
	}

	phase := Idle

	for _, attempt := range d.state.Rejected {
		if attempt == d.state.Attempt {
			phase = Failed
		}
	}

	d.move(phase, 0, d.state.Reason)

	return true
}

func (d *decision) undo(c Command) error {
	switch {
	case d.state.InProgress():
		return d.underway()
	case !d.undoable():
		return refuse("NOTHING_TO_UNDO", "no promotion of %s can be undone any more; start the revision before with `serin canary start %s -f FILE`",
			d.state.Agent, d.state.Agent)
	}

	d.undoTo(c.because("the promotion of %s undone by hand: back to %s", d.state.Stable, d.state.Previous))

	return nil
}

// undoable reports whether a promotion can be undone.
func (d *decision) undoable() bool {
	return d.state.Previous != "" && d.now.Before(d.state.UndoUntil)
}

// undoTo makes the revision before stable again.
func (d *decision) undoTo(reason string) {
	bad := d.state.Stable
	d.tell("undo", "%s", reason)
	d.takeOver(d.state.Previous)
	d.markRejected(bad)
	d.state.Stable = d.state.Previous
	d.forgetPrevious()
	d.withdraw(bad, d.state.Stable, CauseUndone, false)
	d.move(Aborting, 0, reason)
}

func (d *decision) markRejected(revision string) {
	if d.state.Rejected == nil {
		d.state.Rejected = map[string]int64{}
	}

	d.state.Rejected[revision] = d.state.Attempt
	forgetOldest(d.state.Rejected, mostRejected, nil)
}

// forgetOldest keeps of revisions, by attempt, the newest only, and those that are needed.
func forgetOldest(attempts map[string]int64, most int, needed map[string]int64) {
	byAge := slices.SortedFunc(maps.Keys(attempts), func(a, b string) int {
		return cmp.Or(cmp.Compare(attempts[b], attempts[a]), cmp.Compare(a, b))
	})

	for _, revision := range byAge[min(most, len(byAge)):] {
		if _, need := needed[revision]; !need {
			delete(attempts, revision)
		}
	}
}
