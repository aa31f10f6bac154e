package canary

import (
	"fmt"
	"maps"
	"slices"
)

// declare takes note of what the declaration asks for, and does it if that changed.
func (d *decision) declare(c Command) error {
	if err := c.valid(); err != nil {
		return err
	}

	if c.Revision == d.state.Declared {
		d.plan(c.Plan)

		return nil
	}

	d.state.Declared = c.Revision

	switch attempt, rejected := d.state.Rejected[c.Revision]; {
	case d.state.Stable == "":
		d.first(c)
	case c.Revision == d.state.Candidate:
		d.plan(c.Plan)
	case c.Revision == d.state.Stable:
		d.takeBack(c.because("the declaration went back to %s", c.Revision))
		d.plan(c.Plan)
	case rejected:
		d.refuseRejected(c, attempt)
		d.plan(c.Plan)
	default:
		return d.begin(c.Revision, c.Plan, "start", c.because("%s was declared", c.Revision))
	}

	return nil
}

func (d *decision) start(c Command) error {
	if err := c.valid(); err != nil {
		return err
	}

	agent := d.state.Agent

	switch attempt, rejected := d.state.Rejected[c.Revision]; {
	case d.state.Stable == "":
		d.first(c)
	case c.Revision == d.state.Stable && d.state.InProgress():
		return refuse("ALREADY_STABLE", "%s is stable; `serin canary abort %s` gives everything back to it", c.Revision, agent)
	case c.Revision == d.state.Stable:
		return refuse("ALREADY_STABLE", "%s is stable already: nothing that is part of a revision differs; see `serin canary diff %s`",
			c.Revision, agent)
	case c.Revision == d.state.Candidate:
		return refuse("ROLLOUT_IN_PROGRESS", "%s is the candidate already, at %d%%; `serin canary promote %s` goes on with it",
			c.Revision, d.state.Weight, agent)
	case rejected:
		return refuse("REVISION_REJECTED", "%s was rejected in attempt %d; change it, or try it again with `serin canary retry %s`",
			c.Revision, attempt, agent)
	default:
		return d.begin(c.Revision, c.Plan, "start", c.because("%s was started by hand", c.Revision))
	}

	return nil
}

// retry begins again with a rejected revision: the declared one, or else the one that was rejected last.
func (d *decision) retry(c Command) error {
	revision := d.state.retryable()

	switch {
	case d.state.InProgress():
		return d.underway()
	case revision == "":
		return refuse("NOTHING_TO_RETRY", "no revision of %s is rejected; `serin canary start %s -f FILE` starts one",
			d.state.Agent, d.state.Agent)
	}

	attempt := d.state.Rejected[revision]
	delete(d.state.Rejected, revision)

	return d.begin(revision, d.state.Plan, "retry", c.because("%s, rejected in attempt %d, is tried again", revision, attempt))
}

// retryable returns the revision that a retry is of; empty if there is none.
func (s State) retryable() string {
	if _, rejected := s.Rejected[s.Declared]; rejected {
		return s.Declared
	}

	last := ""

	for _, revision := range slices.Sorted(maps.Keys(s.Rejected)) {
		if last == "" || s.Rejected[revision] > s.Rejected[last] {
			last = revision
		}
	}

	return last
}

// first makes the first revision ever stable: there is nothing to compare it with.
func (d *decision) first(c Command) {
	reason := c.Revision + " is the first revision"
	d.state.Declared, d.state.Stable, d.state.Plan = c.Revision, c.Revision, c.Plan
	d.move(Idle, 0, reason)
	d.tell("succeed", "%s", reason)
}

// begin makes a revision the candidate of a new attempt.
func (d *decision) begin(revision string, plan Plan, action, reason string) error {
	switch {
	case d.state.storeBehind():
		return d.refuseBehind()
	case d.state.InProgress():
		return d.underway()
	}

	d.keepNoPrevious()
	d.state.Attempt++
	d.reinstate(revision)
	d.stay(revision)

	d.state.Candidate, d.state.Plan, d.state.Next = revision, plan, nil
	d.state.StartedAt = d.now
	d.move(Preparing, 0, reason)
	d.tell(action, "%s", reason)
	d.makeRoom()

	return nil
}

// begun gives the candidate its first weight, once it can take it.
func (d *decision) begun() bool {
	weight := d.state.goal()
	if d.state.Phase != Preparing || !d.enough(weight) {
		return false
	}

	reason := fmt.Sprintf("%s is ready: %d%%", d.state.Candidate, weight)
	d.tell("step", "%s", reason)

	if d.state.Plan.Automatic && d.state.Goal == 0 { // also at 100%: nobody but the gate promotes
		d.move(Progressing, weight, reason)
	} else {
		d.goTo(weight, reason)
	}

	return true
}

// refuseRejected says that a declared revision is not tried again by itself.
func (d *decision) refuseRejected(c Command, attempt int64) {
	reason := fmt.Sprintf("%s was declared, but was rejected in attempt %d; `serin canary retry %s` tries it again",
		c.Revision, attempt, d.state.Agent)

	d.takeBack(reason)
	d.state.Reason = reason
	d.tell("reject", "%s", reason)
}

// plan takes a plan for future rollouts: one in progress keeps its own.
func (d *decision) plan(plan Plan) {
	if d.state.InProgress() {
		d.state.Next = &plan
	} else {
		d.state.Plan, d.state.Next = plan, nil
	}
}

// replan takes the plan that waited for the end of a rollout.
func (d *decision) replan() bool {
	if d.state.Next == nil || d.state.InProgress() {
		return false
	}

	d.state.Plan, d.state.Next = *d.state.Next, nil

	return true
}

func (c Command) valid() error {
	if c.Revision == "" {
		return refuse("INVALID_COMMAND", "revision: none; %s wants the short name of one", c.Kind)
	}

	return c.Plan.Validate()
}
