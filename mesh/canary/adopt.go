package canary

import "slices"

// adopt takes over a decision that the mesh carries and the state does not know: the process ended between writing it
// there and saving it, or another one decides too. It never undoes an abort: of two decisions of the same number, the one
// that gives traffic back is taken over.
//
// The mesh does not say whether an abort was to fence what runs, so one that is adopted does not: to abort with the fence
// once more does.
func (d *decision) adopt() bool {
	mesh := d.seen.Mesh
	if mesh == nil || !d.state.behind(*mesh) && !d.state.forkedBy(*mesh) {
		return false
	}

	before, told := Want(d.state), len(d.events)

	d.tell("adopt", "the mesh carries another decision than was saved: attempt %d, decision %d, %s",
		mesh.Attempt, mesh.Seq, mesh.Phase)
	d.follow(*mesh)
	d.state.Attempt, d.state.Seq = max(d.state.Attempt, mesh.Attempt), max(d.state.Seq, mesh.Seq)
	d.dismiss(*mesh)

	after := Want(d.state)

	switch agree := after.Intent == *mesh && after.besides(before); {
	case !agree:
		d.state.Seq++
	case before.Intent.sameBut(*mesh):
		d.events = d.events[:told] // only its number is news, so that two who follow one another come to rest
	}

	return true
}

// sameBut reports whether two decisions differ in nothing but their numbers.
func (i Intent) sameBut(other Intent) bool {
	i.Attempt, i.Seq = other.Attempt, other.Seq

	return i == other
}

// behind reports whether a decision is newer than the state.
func (s State) behind(mesh Intent) bool { return mesh.Attempt > s.Attempt || mesh.Seq > s.Seq }

// forkedBy reports whether a decision of the same number as the state gives back what the state does not.
func (s State) forkedBy(mesh Intent) bool {
	sameNumber := mesh.Attempt == s.Attempt && mesh.Seq == s.Seq
	abort := s.InProgress() && mesh.Stable == s.Stable && mesh.Candidate == ""
	undo := !s.InProgress() && mesh.takesBack() && s.keeps(mesh.Stable)

	return sameNumber && (abort || undo)
}

// takesBack reports whether a decision is an abort or an undo.
func (i Intent) takesBack() bool { return i.Phase == Aborting || i.Phase == Failed }

// keeps reports whether a revision that was replaced keeps its conversations, so that an undo can return to it.
func (s State) keeps(revision string) bool {
	return revision != "" && (revision == s.Previous || slices.ContainsFunc(s.Leaving, func(l Leaving) bool {
		return l.Revision == revision && l.Successor == ""
	}))
}

// follow does what the decision must have been.
func (d *decision) follow(mesh Intent) {
	s := &d.state

	switch {
	case s.InProgress() && mesh.Stable == s.Candidate:
		d.crown()
	case s.InProgress() && s.continues(mesh):
		d.move(mesh.Phase, mesh.Weight, s.Reason)
	case s.InProgress() && mesh.Attempt > s.Attempt:
		d.takeBack(s.Candidate + " was superseded before a restart, or elsewhere")
	case s.InProgress():
		d.reject(s.Candidate+" was aborted before a restart, or elsewhere", false)
	case mesh.takesBack() && s.keeps(mesh.Stable):
		d.warm(mesh.Stable)
		d.undoTo("the promotion of " + s.Stable + " was undone before a restart, or elsewhere: back to " + s.Previous)
	}
}

// warm makes a revision that was replaced the one that an undo returns to.
func (d *decision) warm(revision string) {
	if revision != d.state.Previous {
		d.keepNoPrevious()
		d.stay(revision)
		d.state.Previous = revision
	}
}

// continues reports whether a decision is a later one about the rollout in progress, and no abort.
func (s State) continues(mesh Intent) bool {
	return mesh.Attempt == s.Attempt && mesh.Stable == s.Stable && mesh.Candidate == s.Candidate && !mesh.takesBack()
}

// dismiss withdraws what the mesh gave traffic to and the state knows nothing of: nobody will run it.
func (d *decision) dismiss(mesh Intent) {
	strangers := []string{mesh.Stable}
	if mesh.Weight > 0 {
		strangers = append(strangers, mesh.Candidate)
	}

	for _, stranger := range strangers {
		known := slices.Contains(Want(d.state).Workloads, stranger)
		if d.state.Stable != "" && stranger != "" && !known {
			d.withdraw(stranger, d.state.Stable, CauseAborted, false)
			d.stay(stranger)
		}
	}
}
