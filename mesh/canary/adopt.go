package canary

import "slices"

// adopt takes over a decision that the mesh carries and the state does not know: the process ended between writing it
// there and saving it. It never undoes an abort.
func (d *decision) adopt() bool {
	mesh := d.seen.Mesh
	if mesh == nil || mesh.Attempt <= d.state.Attempt && mesh.Seq <= d.state.Seq {
		return false
	}

	d.tell("adopt", "the mesh carries a newer decision than was saved: attempt %d, decision %d, %s", mesh.Attempt, mesh.Seq, mesh.Phase)
	d.follow(*mesh)
	d.state.Attempt, d.state.Seq = max(d.state.Attempt, mesh.Attempt), max(d.state.Seq, mesh.Seq)
	d.dismiss(*mesh)

	return true
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
		d.takeBack(s.Candidate + " was superseded before a restart")
	case s.InProgress():
		d.reject(s.Candidate+" was aborted before a restart", false)
	case s.Previous != "" && mesh.Stable == s.Previous:
		d.undoTo("the promotion of " + s.Stable + " was undone before a restart: back to " + s.Previous)
	}
}

// continues reports whether a decision is a later one about the rollout in progress, and no abort.
func (s State) continues(mesh Intent) bool {
	return mesh.Attempt == s.Attempt && mesh.Stable == s.Stable && mesh.Candidate == s.Candidate &&
		mesh.Phase != Aborting && mesh.Phase != Failed
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
			d.withdraw(stranger, d.state.Stable, aborted, false)
			d.stay(stranger)
		}
	}
}
