package kube

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/api/v1alpha1"
)

func TestConditions(t *testing.T) {
	serving := &rolloutv1.Rollout{Agent: "billing", Stable: "a", Phase: rolloutv1.Phase_PHASE_IDLE, Reason: "a is stable"}
	canary := &rolloutv1.Rollout{
		Agent: "billing", Stable: "a", Candidate: "b", Phase: rolloutv1.Phase_PHASE_PREPARING, WaitingFor: "a ready process of b",
		Reason: "b was declared",
	}
	starting := &rolloutv1.Rollout{Agent: "billing", Stable: "a", Lacks: "revision a is not ready", Phase: rolloutv1.Phase_PHASE_IDLE}
	digest := agentspec.Problems{{File: "agent/billing", Field: "spec.prompt.digest", Message: "sha256:x is declared"}}
	deleted := object("billing", "v1", func(a *v1alpha1.Agent) { a.DeletionTimestamp = &metav1.Time{} })
	deleted.DeletionTimestamp.Time = deleted.DeletionTimestamp.AddDate(2026, 0, 0)

	for name, test := range map[string]struct {
		agent    *v1alpha1.Agent
		rollout  *rolloutv1.Rollout
		invalid  agentspec.Problems
		troubles []string
		want     map[string]string
	}{
		"new":      {rollout: nil, want: map[string]string{"Ready": "False Starting", "RolloutProgressing": "False Idle", "Degraded": "False AsDeclared"}},
		"serving":  {rollout: serving, want: map[string]string{"Ready": "True Serving", "RolloutProgressing": "False Idle a is stable"}},
		"starting": {rollout: starting, want: map[string]string{"Ready": "False NoReadyPod revision a is not ready"}},
		"canary": {rollout: canary, want: map[string]string{
			"Ready": "True Serving", "RolloutProgressing": "True Preparing b was declared; waits for a ready process of b",
		}},
		"aborted": {
			rollout: &rolloutv1.Rollout{Stable: "a", Phase: rolloutv1.Phase_PHASE_FAILED, Reason: "b was bad"},
			want:    map[string]string{"RolloutProgressing": "False Aborted b was bad"},
		},
		"never valid": {invalid: digest, want: map[string]string{
			"Ready": "False DigestMismatch spec.prompt.digest: sha256:x", "Degraded": "True DigestMismatch spec.prompt.digest",
		}},
		"a bad edit": {rollout: serving, invalid: digest, want: map[string]string{"Ready": "True Serving", "Degraded": "True DigestMismatch"}},
		"drift": {
			rollout: serving, troubles: []string{"someone else changed the mesh: weight 30", "mesh: x"},
			want: map[string]string{"Degraded": "True MeshDrift someone else changed the mesh: weight 30; mesh: x"},
		},
		"deleted": {agent: deleted, rollout: serving, want: map[string]string{"Ready": "False Draining"}},
	} {
		t.Run(name, func(t *testing.T) {
			agent := test.agent
			if agent == nil {
				agent = object("billing", "v1")
			}

			conditions := conditionsOf(agent, test.rollout, test.invalid, test.troubles)

			for kind, want := range test.want {
				found := meta.FindStatusCondition(conditions, kind)
				if got := string(found.Status) + " " + found.Reason + " " + found.Message; !strings.HasPrefix(got, want) {
					t.Errorf("%s: %s, want %s", kind, got, want)
				}
			}
		})
	}
}

// TestPublishing writes what is new, and keeps the record as it is.
func TestPublishing(t *testing.T) {
	w := newWorld(t, object("billing", "v1"), object("wrong", ""))
	config := w.config("one")
	store := newStore(config)
	source := w.source()
	w.read(source)

	tell := newPublisher(config, store, source, nil)
	tell.take(&rolloutv1.WatchRolloutsResponse{Rollouts: []*rolloutv1.Rollout{{
		Agent: "billing", Stable: "a", Candidate: "b", Weight: 5, Step: 1, Phase: rolloutv1.Phase_PHASE_PROGRESSING,
		Revisions: []*rolloutv1.Revision{{Revision: "a", Role: "stable", Replicas: 2, ReadyReplicas: 2}, {Revision: "c", Role: "draining"}},
	}}})
	w.must(tell.publish(t.Context()))

	status := w.get("billing").Status
	if status.Stable != "a" || status.Candidate != "b" || *status.Weight != 5 || *status.Step != 0 || status.Phase != "Progressing" ||
		status.ObservedGeneration != 1 || len(status.Replicas) != 2 || status.Replicas[1].Role != v1alpha1.RoleLeaving {
		t.Errorf("status: %+v", status)
	}

	if condition := meta.FindStatusCondition(w.get("wrong").Status.Conditions, "Degraded"); condition == nil || condition.Status != metav1.ConditionTrue {
		t.Errorf("an agent without a prompt: %+v", condition)
	}

	version := w.get("billing").ResourceVersion
	w.must(tell.publish(t.Context()))

	if again := w.get("billing").ResourceVersion; again != version {
		t.Error("it was written again without news")
	}
}
