package canary

import (
	"fmt"
	"time"
)

// Gate says which gate judges automatic rollouts.
const Gate = "thresholds: from 50 turns of the candidate on, more than 5% failed or a p99 above the SLA abort; " +
	"fewer turns wait; a turn that lost its process counts as failed"

const (
	// leastTurns is how many turns of the candidate a judgement needs.
	leastTurns = 50
	// mostFailed is how many of a hundred may fail.
	mostFailed = 5
)

// reach takes note that the mesh carries the decision.
func (d *decision) reach() bool {
	if !d.state.Reached.IsZero() || !d.carried() {
		return false
	}

	d.state.Reached = d.now

	return true
}

// carried reports whether the mesh carries the state as it is now.
func (d *decision) carried() bool {
	mesh := d.seen.Mesh

	return d.state.Stable != "" && d.seen.Converged && mesh != nil &&
		mesh.Attempt == d.state.Attempt && mesh.Seq == d.state.Seq
}

// evidence returns what counts of the candidate: nothing that was observed before the attempt began.
func (d *decision) evidence() Evidence {
	if !d.now.After(d.state.StartedAt) {
		return Evidence{}
	}

	return d.seen.Evidence[d.state.Candidate]
}

// fault says what is wrong with enough evidence; empty if nothing is.
func (p Plan) fault(evidence Evidence) string {
	switch {
	case evidence.Turns < leastTurns:
		return ""
	case evidence.Failed*100 > evidence.Turns*mostFailed:
		return fmt.Sprintf("%d of %d turns failed%s, more than %d%%",
			evidence.Failed, evidence.Turns, evidence.ofThemDied(), mostFailed)
	case p.SLA > 0 && evidence.P99 > p.SLA:
		return fmt.Sprintf("p99 is %s, above the SLA of %s (%d turns)", evidence.P99.Round(time.Millisecond), p.SLA, evidence.Turns)
	default:
		return ""
	}
}

// ofThemDied says how many of the failed turns failed by losing their process.
func (e Evidence) ofThemDied() string {
	if e.Died == 0 {
		return ""
	}

	return fmt.Sprintf(" (%d lost their process)", e.Died)
}

// abortBad aborts an automatic rollout that the gate finds fault with. A pause holds the weight, not the judgement.
func (d *decision) abortBad() bool {
	judged := d.state.Phase == Progressing || d.state.Phase == Paused && d.state.Weight > 0

	fault := d.state.Plan.fault(d.evidence())
	if fault == "" || !judged || !d.state.Plan.Automatic {
		return false
	}

	d.reject(d.state.Candidate+": "+fault, false)

	return true
}

// proceed goes on with an automatic rollout that has been at its step for long enough and that the gate lets through.
func (d *decision) proceed() bool {
	s := &d.state

	ripe := s.Phase == Progressing && s.Goal == 0 && s.Plan.Automatic &&
		!s.Reached.IsZero() && d.now.Sub(s.Reached) >= s.Plan.Pause
	if !ripe || d.evidence().Turns < leastTurns || !d.prepared() {
		return false
	}

	action, weight := "step", s.Plan.after(s.Weight)
	if weight == 100 {
		action = "promote"
	}

	reason := fmt.Sprintf("%s passed the gate at %d%% (%d turns, %d failed): %d%%",
		s.Candidate, s.Weight, d.evidence().Turns, d.evidence().Failed, weight)
	d.goTo(weight, reason)
	d.tell(action, "%s", reason)

	return true
}

// succeed makes the candidate stable, once the mesh gives it everything. One that has just died is no revision to stay on.
func (d *decision) succeed() bool {
	if d.state.Phase != Promoting || d.state.Reached.IsZero() || !d.prepared() {
		return false
	}

	d.crown()

	return true
}

// crown makes the candidate stable and keeps the revision before warm.
func (d *decision) crown() {
	s := &d.state
	s.Previous, s.Stable, s.Candidate = s.Stable, s.Candidate, ""
	s.UndoUntil, s.UnreadySince = d.now.Add(s.Plan.UndoWindow), time.Time{}

	reason := fmt.Sprintf("%s is stable; `serin canary undo %s` returns to %s", s.Stable, s.Agent, s.Previous)
	d.move(Succeeded, 0, reason)
	d.tell("succeed", "%s", reason)

	if s.Plan.Slots {
		d.handOver(s.Previous)
	}
}
