package canary

import (
	"fmt"
	"strings"
	"time"
)

// WaitingFor says in words what the rollout waits for; empty if for nothing.
func (s State) WaitingFor(seen Observation) string {
	if !s.UnreadySince.IsZero() {
		return fmt.Sprintf("a ready process of %s: it aborts after %s without one", s.Candidate, unreadyLimit)
	}

	if s.Goal > 0 || s.Phase == Preparing {
		return s.waitingForProcesses(seen)
	}

	switch s.Phase {
	case Progressing:
		return s.waitingToGoOn(seen)
	case Paused:
		return fmt.Sprintf("`serin canary resume %s`, promote or abort", s.Agent)
	case Promoting:
		return s.waitingToSucceed(seen)
	case Aborting:
		return s.waitingForOthers()
	case Idle, Preparing, Succeeded, Failed:
	}

	return ""
}

// waitingForProcesses says what the candidate lacks to take the weight that it is about to get.
func (s State) waitingForProcesses(seen Observation) string {
	if s.pending(s.Candidate) {
		return "the context store to take " + s.Candidate + " back into service"
	}

	needs := s.needs(seen, s.goal())
	if needs == 1 {
		return "a ready process of " + s.Candidate
	}

	return fmt.Sprintf("%s of %s for %d%% (%d so far)", readyProcesses(needs), s.Candidate, s.goal(), seen.Ready[s.Candidate].Ready)
}

func (s State) waitingToGoOn(seen Observation) string {
	switch {
	case s.Reached.IsZero():
		return s.waitingForOthers()
	case !s.Plan.Automatic:
		return fmt.Sprintf("`serin canary promote %s`, which goes on to %d%%", s.Agent, s.Plan.after(s.Weight))
	default:
		return s.waitingForGate(seen)
	}
}

// waitingToSucceed says what a promotion lacks.
func (s State) waitingToSucceed(seen Observation) string {
	if !s.Reached.IsZero() && seen.Ready[s.Candidate].Ready == 0 {
		return "a ready process of " + s.Candidate
	}

	return s.waitingForOthers()
}

// waitingForGate says what an automatic rollout lacks to go on.
func (s State) waitingForGate(seen Observation) string {
	lacks := []string{}

	if left := s.Plan.Pause - seen.Now.Sub(s.Reached); left > 0 {
		lacks = append(lacks, fmt.Sprintf("%s more at %d%%", left.Round(time.Second), s.Weight))
	}

	if turns := seen.Evidence[s.Candidate].Turns; turns < leastTurns {
		lacks = append(lacks, fmt.Sprintf("%d more turns of %s", leastTurns-turns, s.Candidate))
	}

	if seen.Ready[s.Candidate].Ready == 0 {
		lacks = append(lacks, "a ready process of "+s.Candidate)
	}

	return strings.Join(lacks, " and ")
}

// waitingForOthers says who has not carried the decision out yet.
func (s State) waitingForOthers() string {
	lacks := []string{}

	switch {
	case !s.Reached.IsZero():
	case s.Weight == 0:
		lacks = append(lacks, "the mesh to give everything to "+s.Stable)
	default:
		lacks = append(lacks, fmt.Sprintf("the mesh to carry %d%%", s.Weight))
	}

	if len(s.Withdrawals) > 0 {
		lacks = append(lacks, "the context store to withdraw "+s.Withdrawals[0].Revision)
	}

	return strings.Join(lacks, " and ")
}
