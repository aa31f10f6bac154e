package canary

import (
	"fmt"
	"slices"
	"time"
)

const (
	// lingers is how long a withdrawn revision stays routed at least, so that calls that were on their way arrive.
	lingers = 10 * time.Second
	// mostWithdrawn is how many withdrawn revisions stay routed while segments run on them. Beyond it the oldest goes all
	// the same: its process gives back what it runs.
	mostWithdrawn = 5
	// mostKept is how many replaced revisions keep their conversations beside the stable one and the candidate: at most
	// three revisions are live.
	mostKept = 1
)

// closeWindow ends the time in which a promotion can be undone.
func (d *decision) closeWindow() bool {
	if d.state.Previous == "" || d.undoable() {
		return false
	}

	d.keepNoPrevious()

	if d.state.Phase == Succeeded {
		d.move(Idle, 0, d.state.Stable+" is stable")
	}

	return true
}

// keepNoPrevious lets the revision before leave: it keeps its conversations, and no undo returns to it.
func (d *decision) keepNoPrevious() {
	if d.state.Previous != "" {
		d.leave(Leaving{Revision: d.state.Previous, Since: d.now})
	}

	d.forgetPrevious()
}

func (d *decision) forgetPrevious() { d.state.Previous, d.state.UndoUntil = "", time.Time{} }

// makeRoom retires the oldest of the replaced revisions until only so many are live as may be.
func (d *decision) makeRoom() {
	kept := []string{}

	for _, leaving := range d.state.Leaving {
		if leaving.Successor == "" {
			kept = append(kept, leaving.Revision)
		}
	}

	for len(kept) > mostKept {
		d.withdraw(kept[0], d.state.Stable, CauseRetired, false)
		d.tell("retire", "%s makes room for %s: its conversations go on with %s", kept[0], d.state.Candidate, d.state.Stable)
		kept = kept[1:]
	}
}

// retire withdraws the first replaced revision whose time has come.
func (d *decision) retire() bool {
	for _, leaving := range d.state.Leaving {
		if why := d.due(leaving); why != "" {
			d.withdraw(leaving.Revision, d.state.Stable, CauseRetired, false)
			d.tell("retire", "%s %s: its conversations go on with %s", leaving.Revision, why, d.state.Stable)

			return true
		}
	}

	return false
}

// due says why a replaced revision shall go now; empty while it shall not.
func (d *decision) due(leaving Leaving) string {
	if leaving.Successor != "" {
		return ""
	}

	if age := d.now.Sub(leaving.Since); age >= d.state.Plan.RetireAfter {
		return fmt.Sprintf("was replaced %s ago", age.Round(time.Second))
	}

	use, known := d.use(leaving.Revision)

	active := use.LastActive
	if active.IsZero() {
		active = leaving.Since
	}

	if idle := d.now.Sub(active); known && use.Running == 0 && idle >= d.state.Plan.RetireIdle {
		return fmt.Sprintf("had no turn for %s", idle.Round(time.Second))
	}

	return ""
}

// release lets the routes go of the first withdrawn revision that nobody needs any more.
func (d *decision) release() bool {
	withdrawn := 0

	for _, leaving := range d.state.Leaving {
		if leaving.Successor != "" && !leaving.Gone {
			withdrawn++
		}
	}

	for i, leaving := range d.state.Leaving {
		if leaving.Successor == "" || leaving.Gone || d.state.pending(leaving.Revision) {
			continue
		}

		if withdrawn > mostWithdrawn || d.unused(leaving) {
			d.state.Leaving[i].Gone = true

			return true
		}
	}

	return false
}

// unused reports whether nothing runs on a withdrawn revision, nor is on its way there.
func (d *decision) unused(leaving Leaving) bool {
	use, known := d.use(leaving.Revision)

	return known && use.Running == 0 && d.now.Sub(leaving.Since) >= lingers
}

// drop forgets revisions that nothing leads to any more: their processes may stop.
func (d *decision) drop() bool {
	before := len(d.state.Leaving)
	d.state.Leaving = slices.DeleteFunc(d.state.Leaving, func(l Leaving) bool {
		return l.Gone && d.seen.Routed != nil && !slices.Contains(d.seen.Routed, l.Revision)
	})

	return len(d.state.Leaving) < before
}

// use returns what the store says about a revision, and whether it says anything.
func (d *decision) use(revision string) (Use, bool) {
	return d.seen.Use[revision], d.seen.Use != nil
}
