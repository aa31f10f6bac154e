package canary

import (
	"fmt"
	"time"
)

// unreadyLimit is how long a candidate may be without a ready process while the stable revision has one: the mesh's
// weights do not look at health.
const unreadyLimit = 3 * time.Second

// prepared reports whether the candidate can take traffic: it has a ready process, and the store does not refuse it.
func (d *decision) prepared() bool {
	return d.seen.Ready[d.state.Candidate].Ready > 0 && !d.state.pending(d.state.Candidate)
}

// enough reports whether the candidate can take a weight: its ready processes are that share of what the stable revision
// has, which is there for all of the traffic.
func (d *decision) enough(weight int) bool {
	return d.prepared() && d.seen.Ready[d.state.Candidate].Ready >= d.state.needs(d.seen, weight)
}

// needs is how many ready processes the candidate needs for a weight.
func (s State) needs(seen Observation, weight int) int {
	size := max(seen.Ready[s.Stable].Size, 1)

	return max((weight*size+99)/100, 1)
}

// goal is the weight that the candidate is about to get; 0 if none was decided.
func (s State) goal() int {
	if s.Goal == 0 && s.Phase == Preparing {
		return s.Plan.after(0)
	}

	return s.Goal
}

// arrive gives the candidate the weight that waited for its processes.
func (d *decision) arrive() bool {
	goal := d.state.Goal
	if goal == 0 || d.state.Phase == Preparing || !d.enough(goal) {
		return false
	}

	reason := fmt.Sprintf("%s has %s: %d%%", d.state.Candidate, readyProcesses(d.seen.Ready[d.state.Candidate].Ready), goal)
	d.tell("step", "%s", reason)

	if d.state.Phase == Paused {
		d.move(Paused, goal, reason)
	} else {
		d.goTo(goal, reason)
	}

	return true
}

// aim decides on a weight: the candidate gets it at once if it has the processes, or as soon as it has.
func (d *decision) aim(phase Phase, weight int, reason string) {
	if weight <= d.state.Weight || d.enough(weight) {
		d.move(phase, weight, reason)

		return
	}

	switch {
	case phase == Paused:
	case d.state.Weight == 0:
		phase = Preparing
	default:
		phase = Progressing
	}

	d.move(phase, d.state.Weight, reason)
	d.state.Goal = weight
}

// readyProcesses says how many.
func readyProcesses(n int) string {
	if n == 1 {
		return "a ready process"
	}

	return fmt.Sprintf("%d ready processes", n)
}

// watchReadiness takes note since when the candidate is without a ready process.
func (d *decision) watchReadiness() bool {
	since := time.Time{}

	if d.unready() {
		since = d.now
		if !d.state.UnreadySince.IsZero() {
			since = d.state.UnreadySince
		}
	}

	changed := !since.Equal(d.state.UnreadySince)
	d.state.UnreadySince = since

	return changed
}

// unready reports whether traffic goes to a candidate that has no ready process, and that is not so for all.
func (d *decision) unready() bool {
	return d.exposed() && d.seen.Ready[d.state.Candidate].Ready == 0 && d.seen.Ready[d.state.Stable].Ready > 0
}

// exposed reports whether conversations may be on the candidate.
func (d *decision) exposed() bool {
	switch d.state.Phase {
	case Progressing, Paused, Promoting:
		return d.state.Weight > 0 || d.evidence().Turns > 0
	case Idle, Preparing, Aborting, Succeeded, Failed:
	}

	return false
}

// abortUnready aborts, automatic or not, when the candidate was without a ready process for too long.
func (d *decision) abortUnready() bool {
	since := d.state.UnreadySince
	if since.IsZero() || d.now.Sub(since) < unreadyLimit {
		return false
	}

	d.reject(d.state.Candidate+" has had no ready process for "+unreadyLimit.String()+" while "+d.state.Stable+" has", false)

	return true
}
