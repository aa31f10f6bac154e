package kube

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/mesh/api/v1alpha1"
	"github.com/serinhq/serin/mesh/canary"
)

// phases are the engine's names of what the API calls numbers.
var phases = map[rolloutv1.Phase]canary.Phase{
	rolloutv1.Phase_PHASE_IDLE:        canary.Idle,
	rolloutv1.Phase_PHASE_PREPARING:   canary.Preparing,
	rolloutv1.Phase_PHASE_PROGRESSING: canary.Progressing,
	rolloutv1.Phase_PHASE_PAUSED:      canary.Paused,
	rolloutv1.Phase_PHASE_PROMOTING:   canary.Promoting,
	rolloutv1.Phase_PHASE_ABORTING:    canary.Aborting,
	rolloutv1.Phase_PHASE_SUCCEEDED:   canary.Succeeded,
	rolloutv1.Phase_PHASE_FAILED:      canary.Failed,
}

// fill writes a rollout into a status; without one there is nothing to say.
func fill(status *v1alpha1.AgentStatus, rollout *rolloutv1.Rollout) {
	if rollout == nil {
		return
	}

	status.Phase, status.Attempt = string(phases[rollout.GetPhase()]), rollout.GetAttempt()
	status.Stable, status.Candidate, status.Reason = rollout.GetStable(), rollout.GetCandidate(), rollout.GetReason()
	status.Weight, status.Step = nil, nil

	if rollout.GetCandidate() != "" {
		status.Weight = new(rollout.GetWeight())

		if rollout.GetStep() > 0 {
			status.Step = new(rollout.GetStep() - 1)
		}
	}

	status.LastTransition = nil
	if rollout.GetSince() != nil { // an object keeps whole seconds
		status.LastTransition = new(metav1.NewTime(rollout.GetSince().AsTime()).Rfc3339Copy())
	}

	status.Replicas = nil
	for _, revision := range rollout.GetRevisions() {
		status.Replicas = append(status.Replicas, v1alpha1.RevisionReplicas{
			Revision: revision.GetRevision(), Role: roleOf(revision.GetRole()),
			Replicas: revision.GetReplicas(), Ready: revision.GetReadyReplicas(),
		})
	}
}

func roleOf(role string) v1alpha1.RevisionRole {
	switch one := v1alpha1.RevisionRole(role); one {
	case v1alpha1.RoleStable, v1alpha1.RoleCandidate, v1alpha1.RoleWarm:
		return one
	case v1alpha1.RoleLeaving:
	}

	return v1alpha1.RoleLeaving
}

// whyRejected returns the reason that the history has for a revision's rejection; empty if it was forgotten.
func (s *Store) whyRejected(agent, revision string) string {
	known, why := s.document(agent), ""
	if known == nil {
		return ""
	}

	for _, entry := range known.History {
		aborted := entry.Action == "abort" && entry.Before.Candidate == revision
		undone := entry.Action == "undo" && entry.Before.Stable == revision

		if aborted || undone {
			why = entry.Reason
		}
	}

	return why
}
