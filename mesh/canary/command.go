package canary

import (
	"fmt"
	"slices"
)

// obey carries a command out, whole or not at all.
func (d *decision) obey(command *Command) error {
	if command == nil {
		return nil
	}

	before, told := d.state.clone(), len(d.events)
	own := *command
	own.Plan.Steps = slices.Clone(own.Plan.Steps)

	var err error

	d.once(func() bool {
		err = d.command(own)

		return err == nil
	})

	if err != nil {
		d.state, d.events = before, d.events[:told]
	}

	for i := range d.events[told:] {
		d.events[told+i].Commanded = true
	}

	return err
}

func (d *decision) command(c Command) error {
	switch c.Kind {
	case Declare:
		return d.declare(c)
	case Start:
		return d.start(c)
	case Supersede:
		return d.supersede(c)
	case SetWeight:
		return d.setWeight(c)
	case Pause:
		return d.pause(c)
	case Resume:
		return d.resume(c)
	case Promote:
		return d.promote(c)
	case Abort:
		return d.abort(c)
	case Undo:
		return d.undo(c)
	case Retry:
		return d.retry(c)
	default:
		return refuse("INVALID_COMMAND", "%q is no command", c.Kind)
	}
}

func (d *decision) setWeight(c Command) error {
	switch {
	case c.Weight < 0 || c.Weight > 100:
		return refuse("INVALID_WEIGHT", "weight %d is out of range, 0 to 100 percent", c.Weight)
	case !d.state.InProgress():
		return d.noCandidate()
	case c.Weight > d.state.Weight && !d.prepared():
		return d.notReady()
	}

	reason := c.because("%d%% set by hand", c.Weight)
	d.aim(Paused, c.Weight, reason)
	d.tell("set-weight", "%s", reason)

	return nil
}

func (d *decision) pause(c Command) error {
	switch d.state.Phase {
	case Preparing, Progressing:
	case Paused:
		return nil
	case Promoting:
		return refuse("ROLLOUT_IN_PROGRESS",
			"%s is being promoted, which can't be paused; `serin canary abort %s` takes it back", d.state.Candidate, d.state.Agent)
	case Idle, Aborting, Succeeded, Failed:
		return d.noCandidate()
	}

	reason := c.because("paused by hand at %d%%", d.state.Weight)
	d.move(Paused, d.state.Weight, reason)
	d.tell("pause", "%s", reason)

	return nil
}

// resume goes on from the weight as it is: the next step is the first beyond it.
func (d *decision) resume(c Command) error {
	if d.state.Phase != Paused {
		return refuse("NOT_PAUSED", "the rollout of %s is not paused but %s; see `serin canary status %s`",
			d.state.Agent, d.state.Phase, d.state.Agent)
	}

	phase := Progressing
	if d.state.Weight == 0 {
		phase = Preparing
	}

	reason := c.because("resumed by hand at %d%%", d.state.Weight)
	d.move(phase, d.state.Weight, reason)
	d.tell("resume", "%s", reason)

	return nil
}

func (d *decision) promote(c Command) error {
	switch {
	case !d.state.InProgress():
		return refuse("NOTHING_TO_PROMOTE", "%s is stable and there is no candidate; `serin canary start %s -f FILE` brings one",
			d.state.Stable, d.state.Agent)
	case d.state.Phase == Promoting || d.state.Goal == 100 && d.state.Phase != Paused:
		return refuse("NOTHING_TO_PROMOTE", "%s is being promoted already; see `serin canary status %s`",
			d.state.Candidate, d.state.Agent)
	case !d.prepared():
		return d.notReady()
	}

	weight := d.state.Plan.after(max(d.state.Weight, d.state.Goal))
	if c.Full {
		weight = 100
	}

	reason := c.because("promoted by hand to %d%%", weight)
	d.goTo(weight, reason)
	d.tell("promote", "%s", reason)

	return nil
}

// goTo gives the candidate the weight of a step, as soon as it can take it; everything is a promotion.
func (d *decision) goTo(weight int, reason string) {
	phase := Progressing
	if weight == 100 {
		phase = Promoting
	}

	d.aim(phase, weight, reason)
}

// because returns why: what the one who commands says, or a default.
func (c Command) because(format string, args ...any) string {
	why := fmt.Sprintf(format, args...)
	if c.Reason != "" {
		why += ": " + c.Reason
	}

	return why
}
