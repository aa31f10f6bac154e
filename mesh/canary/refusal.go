package canary

import "fmt"

func refuse(reason, format string, args ...any) error {
	return &Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// noCandidate refuses what needs a rollout in progress.
func (d *decision) noCandidate() error {
	agent := d.state.Agent
	if d.undoable() {
		return refuse("NO_CANDIDATE", "%s is stable already, there is no candidate; `serin canary undo %s` takes its promotion back",
			d.state.Stable, agent)
	}

	return refuse("NO_CANDIDATE", "no rollout of %s is in progress; `serin canary start %s -f FILE` starts one", agent, agent)
}

// notReady refuses traffic for a candidate that could not answer.
func (d *decision) notReady() error {
	return refuse("CANDIDATE_NOT_READY", "%s can't take traffic yet: it waits for %s; see `serin canary status %s`",
		d.state.Candidate, d.state.waitingForProcesses(d.seen), d.state.Agent)
}

// refuseBehind refuses another candidate while the store has not taken back those before.
func (d *decision) refuseBehind() error {
	return refuse("WITHDRAWALS_PENDING", "the context store has not withdrawn %d revisions of %s yet; start again once it "+
		"answers: see `serin canary status %s`", len(d.state.Withdrawals), d.state.Agent, d.state.Agent)
}

// underway refuses what a rollout in progress is in the way of.
func (d *decision) underway() error {
	return refuse("ROLLOUT_IN_PROGRESS", "a rollout of %s is in progress: %s at %d%%; `serin canary abort %s` takes it back first",
		d.state.Agent, d.state.Candidate, d.state.Weight, d.state.Agent)
}
