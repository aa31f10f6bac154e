package controller

import (
	"time"

	"github.com/serinhq/serin/mesh/canary"
)

// freshUse is how many intervals old an answer about use may be at most.
const freshUse = 3

// observe is what the world looks like to the engine. What is not known is absent.
func (a *agent) observe(state canary.State) canary.Observation {
	now := a.config.now()
	mesh := a.mesh.look()
	revisions := canary.Want(state).Workloads
	observation := canary.Observation{
		Now:      now,
		Ready:    readiness(a.shared.statuses.of(a.name), revisions),
		Evidence: a.shared.outcomes.evidence(a.name, state.Attempt),
		Use:      a.usage.look().uses(now, freshUse*a.config.UseInterval, revisions),
	}
	observation.Confirmed, _ = a.withdrawer.look()

	if mesh.known {
		observation.Mesh = intentOf(mesh.progress.Observed)
		observation.Converged = mesh.carried != nil && mesh.carried == a.ordered && mesh.progress.Done
		observation.Routed = append([]string{}, mesh.progress.Routed...)
	}

	a.mu.Lock()
	a.seen = observation
	a.mu.Unlock()

	return observation
}

// withdrawnElsewhere returns what the agent must do because the store has a withdrawal that is not known here: a
// controller before this one died when it had just begun an abort or an undo.
func (a *agent) withdrawnElsewhere() *change {
	state := a.current().State
	use := a.usage.look()

	// An answer from before the last withdrawal was confirmed knows of one that a reinstatement has overruled.
	if len(state.Withdrawals) > 0 || !use.asked.After(a.withdrawnAt) {
		return nil
	}

	switch state.Phase {
	case canary.Progressing, canary.Paused, canary.Promoting:
		if _, ok := use.withdrawn(state.Candidate, latest(state.Since, state.Reached)); ok {
			return finish(canary.Abort)
		}
	case canary.Idle, canary.Succeeded, canary.Failed:
		if by, ok := use.withdrawn(state.Stable, state.Since); ok && by == state.Previous {
			return finish(canary.Undo)
		}
	case canary.Preparing, canary.Aborting:
	}

	return nil
}

func finish(kind canary.Kind) *change {
	return &change{actor: platform, command: &canary.Command{
		Kind: kind, Reason: "the context store has withdrawn the revision already, so this was begun before a restart",
	}}
}

func latest(times ...time.Time) time.Time {
	last := time.Time{}

	for _, one := range times {
		if one.After(last) {
			last = one
		}
	}

	return last
}
