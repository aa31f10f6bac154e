package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// AgentStatus is what has become of an agent. The controller writes it, and nobody else.
type AgentStatus struct {
	// ObservedGeneration is the generation of the agent that this status is about; if it is less than metadata.generation,
	// the controller has not looked at the last change yet.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions say in short how the agent is: Ready, RolloutProgressing and Degraded.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Phase is where the rollout is: Idle, Preparing, Progressing, Paused, Promoting, Aborting, Succeeded or Failed.
	//
	// +optional
	Phase string `json:"phase,omitempty"`
	// Stable is the revision that conversations meet, but for the canary's share of the new ones.
	//
	// +optional
	Stable string `json:"stable,omitempty"`
	// Candidate is the revision that is being rolled out, the canary; none if there is no rollout.
	//
	// +optional
	Candidate string `json:"candidate,omitempty"`
	// Weight is the canary's share of new conversations in percent; none if there is no canary.
	//
	// +optional
	Weight *int32 `json:"weight,omitempty"`
	// Step is the step of spec.rollout.steps that the rollout is at, from 0; none before the first and without a rollout.
	//
	// +optional
	Step *int32 `json:"step,omitempty"`
	// Attempt counts the rollouts of this agent.
	//
	// +optional
	Attempt int64 `json:"attempt,omitempty"`
	// Reason says in words why the rollout is where it is.
	//
	// +optional
	Reason string `json:"reason,omitempty"`
	// LastTransition is when phase, revisions or weight last changed.
	//
	// +optional
	LastTransition *metav1.Time `json:"lastTransition,omitempty"`
	// Rejected are the revisions that were aborted or undone. They are not rolled out again until the spec changes, or
	// `serin canary retry` asks for it.
	//
	// +optional
	// +listType=map
	// +listMapKey=revision
	Rejected []RejectedRevision `json:"rejected,omitempty"`
	// Replicas are the pods of every revision that runs.
	//
	// +optional
	// +listType=map
	// +listMapKey=revision
	Replicas []RevisionReplicas `json:"replicas,omitempty"`
	// Record is the controller's own record of the rollout, which it goes on from after a restart. Don't edit it: to
	// change a rollout, use `serin canary`.
	//
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	Record *runtime.RawExtension `json:"record,omitempty"`
}

// RejectedRevision is a revision that was aborted or undone.
type RejectedRevision struct {
	// Revision is the first 12 digits of its name.
	Revision string `json:"revision"`
	// Reason says in words why.
	//
	// +optional
	Reason string `json:"reason,omitempty"`
}

// RevisionReplicas are the pods of one revision.
type RevisionReplicas struct {
	// Revision is the first 12 digits of its name.
	Revision string `json:"revision"`
	// Role is what the revision is for: stable; candidate, the canary; warm, which an undo returns to; or leaving, which
	// only keeps the conversations that it has.
	Role RevisionRole `json:"role"`
	// Replicas is how many pods there shall be.
	Replicas int32 `json:"replicas"`
	// Ready is how many of them are ready.
	Ready int32 `json:"ready"`
}

// RevisionRole is what a revision that runs is for.
//
// +kubebuilder:validation:Enum=stable;candidate;warm;leaving
type RevisionRole string

// The roles of revisions.
const (
	RoleStable    RevisionRole = "stable"
	RoleCandidate RevisionRole = "candidate"
	RoleWarm      RevisionRole = "warm"
	RoleLeaving   RevisionRole = "leaving"
)
