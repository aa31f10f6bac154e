package controller

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/mesh/canary"
)

// view is an agent's rollout as people see it.
func (a *agent) view() *rolloutv1.Rollout {
	a.mu.Lock()
	record, seen := a.record, a.seen
	a.mu.Unlock()

	state, mesh := record.State, a.mesh.look()
	revisions := canary.Want(state).Workloads
	numbers, nobodys := a.shared.outcomes.numbers(a.name, revisions)
	processes := a.shared.statuses.of(a.name)

	rollout := &rolloutv1.Rollout{
		Agent: a.name, Phase: phaseOf(state.Phase), Attempt: state.Attempt, Sequence: state.Seq,
		Stable: state.Stable, Candidate: state.Candidate,
		Weight: percent(state.Weight), Goal: percent(state.Goal), AppliedWeight: percent(mesh.progress.Weight), Step: percent(state.Step + 1),
		Plan: planView(state.Plan), Reason: state.Reason, WaitingFor: waitingFor(state, seen, mesh),
		Since: timestamp(state.Since), StartedAt: timestamp(state.StartedAt),
		Gate: canary.Gate, Rejected: slices.Sorted(maps.Keys(state.Rejected)),
		Problems: a.problems(record, mesh, processes, nobodys), Lacks: a.lacks(),
	}

	if state.Previous != "" {
		rollout.UndoUntil, rollout.UndoRevision = timestamp(state.UndoUntil), state.Previous
	}

	for _, revision := range revisions {
		view := revisionView(state, revision, processes[revision])
		view.Slot = record.Slots[revision]
		view.Numbers = cmp.Or(numbers[revision], &rolloutv1.Numbers{})
		a.usage.look().into(view)
		rollout.Revisions = append(rollout.Revisions, view)
	}

	return rollout
}

func waitingFor(state canary.State, seen canary.Observation, mesh meshSeen) string {
	if waiting := state.WaitingFor(seen); waiting != "" {
		return waiting
	}

	return mesh.progress.Waiting
}

func planView(plan canary.Plan) *rolloutv1.Plan {
	view := &rolloutv1.Plan{Pause: durationpb.New(plan.Pause), Automatic: plan.Automatic}
	for _, step := range plan.Steps {
		view.Steps = append(view.Steps, percent(step))
	}

	return view
}

func revisionView(state canary.State, revision string, there running) *rolloutv1.Revision {
	view := &rolloutv1.Revision{
		Revision: revision, Role: roleOf(state, revision),
		Replicas: percent(cmp.Or(there.size, max(len(there.processes), 1))), ReadyReplicas: percent(there.ready()),
	}

	switch revision {
	case state.Stable:
		view.Weight = percent(100 - state.Weight)
	case state.Candidate:
		view.Weight = percent(state.Weight)
	}

	return view
}

// roleOf says what a live revision is for.
func roleOf(state canary.State, revision string) string {
	_, rejected := state.Rejected[revision]

	switch {
	case revision == state.Stable:
		return "stable"
	case revision == state.Candidate:
		return "candidate"
	case revision == state.Previous:
		return "warm"
	case rejected:
		return "rejected"
	default:
		return "draining"
	}
}

// into adds how much a revision is used.
func (s useSeen) into(view *rolloutv1.Revision) {
	use := s.revisions[view.GetRevision()]
	view.PinnedConversations, view.Running = use.GetPinnedConversations(), use.GetRunningTurns()
	view.LastActiveAt = use.GetLastActiveAt()
}

// problems are what is wrong now.
func (a *agent) problems(
	record Record, mesh meshSeen, processes map[string]running, nobodys int64,
) []string {
	problems := []string{}
	add := func(format, text string) {
		if text != "" {
			problems = append(problems, fmt.Sprintf(format, text))
		}
	}

	a.mu.Lock()
	for _, about := range slices.Sorted(maps.Keys(a.troubles)) {
		add("%s", a.troubles[about])
	}
	a.mu.Unlock()

	_, withdrawing := a.withdrawer.look()

	add("%s", mesh.problem)
	add("mesh: %s", mesh.progress.Problem)
	add("someone else changed the mesh: %s", mesh.progress.Drift)
	add("%s", withdrawing)
	add("%s", a.shared.fleet.trouble())

	if !record.RemovedAt.IsZero() {
		add("%s", "the agent is not declared any more: it goes once it has been idle for "+a.config.DeleteAfter.String())
	}

	for _, revision := range slices.Sorted(maps.Keys(processes)) {
		for _, process := range processes[revision].processes {
			if !process.GetReady() {
				add("process of "+revision+": %s", process.GetProblem())
			}
		}
	}

	if nobodys > 0 {
		add("%s", fmt.Sprintf("%d turns of this attempt failed before any revision took them", nobodys))
	}

	return problems
}

func phaseOf(phase canary.Phase) rolloutv1.Phase {
	switch phase {
	case canary.Idle:
		return rolloutv1.Phase_PHASE_IDLE
	case canary.Preparing:
		return rolloutv1.Phase_PHASE_PREPARING
	case canary.Progressing:
		return rolloutv1.Phase_PHASE_PROGRESSING
	case canary.Paused:
		return rolloutv1.Phase_PHASE_PAUSED
	case canary.Promoting:
		return rolloutv1.Phase_PHASE_PROMOTING
	case canary.Aborting:
		return rolloutv1.Phase_PHASE_ABORTING
	case canary.Succeeded:
		return rolloutv1.Phase_PHASE_SUCCEEDED
	case canary.Failed:
		return rolloutv1.Phase_PHASE_FAILED
	default:
		return rolloutv1.Phase_PHASE_UNSPECIFIED
	}
}

func timestamp(at time.Time) *timestamppb.Timestamp {
	if at.IsZero() {
		return nil
	}

	return timestamppb.New(at)
}

// percent is an int of a proto; all that are shown are small.
func percent(n int) int32 { return int32(n) } //nolint:gosec // percentages, steps and processes
