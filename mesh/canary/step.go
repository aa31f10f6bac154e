package canary

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Step decides once. Without a command it never fails; a command that can't be carried out returns a [*Refusal], and the
// state as it would be without the command. Stepping again with the same observation changes nothing.
func Step(state State, observation Observation, command *Command) (State, []Event, error) {
	d := &decision{
		state: state.clone(),
		seen:  observation,
		now:   observation.Now.UTC().Round(0), // without the monotonic clock, which no file keeps
	}

	d.told(d.adopt)

	err := d.obey(command)

	for d.advance() {
		// each round applies one rule, until none applies any more
	}

	return d.state, d.events, err
}

// decision is what one step works on.
type decision struct {
	state  State
	seen   Observation
	now    time.Time
	events []Event
}

// advance applies the first rule that applies, and reports whether there was one. The order is that of urgency.
func (d *decision) advance() bool {
	return slices.ContainsFunc([]func() bool{
		d.confirm, d.watchReadiness, d.reach, // take note
		d.abortUnready, d.abortBad, // what is wrong goes first
		d.begun, d.arrive, d.proceed, d.succeed, d.failed, // go on
		d.closeWindow, d.replan, d.retire, d.release, d.drop, // clear up
	}, d.once)
}

// once applies a change, and counts it if it changes what the mesh shall carry.
func (d *decision) once(change func() bool) bool {
	return d.told(func() bool {
		before := Want(d.state)
		if !change() {
			return false
		}

		if !before.routesAs(Want(d.state)) {
			d.state.Seq++
		}

		return true
	})
}

// told applies a change, and has the events that it tells say what it changed.
func (d *decision) told(change func() bool) bool {
	before, from := d.state.Place(), len(d.events)
	changed := change()

	for i := range d.events[from:] {
		d.events[from+i].Before, d.events[from+i].After = before, d.state.Place()
	}

	return changed
}

// Place says in short where the rollout is.
func (s State) Place() Place {
	return Place{Attempt: s.Attempt, Phase: s.Phase, Stable: s.Stable, Candidate: s.Candidate, Weight: s.Weight}
}

// move brings the rollout to a phase, a weight and the step that the weight is of.
func (d *decision) move(phase Phase, weight int, reason string) {
	d.state.Phase, d.state.Weight, d.state.Goal, d.state.Reason = phase, weight, 0, reason
	d.state.Step = d.state.Plan.at(weight)
	d.state.Since, d.state.Reached = d.now, time.Time{}
}

// tell adds an event.
func (d *decision) tell(action, format string, args ...any) {
	d.events = append(d.events, Event{Action: action, Reason: fmt.Sprintf(format, args...)})
}

// InProgress reports whether there is a candidate: a rollout that is being aborted has none any more.
func (s State) InProgress() bool { return s.Candidate != "" }

// clone returns a copy that a decision may change, with the state before the first decision brought into form.
func (s State) clone() State {
	if s.Phase == "" {
		s.Phase, s.Step = Idle, -1
	}

	s.Rejected, s.Withdrawn = maps.Clone(s.Rejected), maps.Clone(s.Withdrawn)
	s.Leaving, s.Withdrawals = slices.Clone(s.Leaving), slices.Clone(s.Withdrawals)

	return s
}
