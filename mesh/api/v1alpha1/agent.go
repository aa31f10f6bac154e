package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serinhq/serin/internal/agentspec"
)

// Agent is a role: a prompt, a model, tools, guardrails, and whom it may hand off to. Serin runs it as a service of the
// mesh under its name. A change of its behaviour starts a rollout: see `kubectl explain agent.spec.rollout`.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=agents,singular=agent,shortName=ag,categories=serin,scope=Namespaced
// +kubebuilder:printcolumn:name="STABLE",type=string,JSONPath=`.status.stable`,description="The revision that conversations meet"
// +kubebuilder:printcolumn:name="CANARY",type=string,JSONPath=`.status.candidate`,description="The revision that is being rolled out"
// +kubebuilder:printcolumn:name="WEIGHT",type=integer,JSONPath=`.status.weight`,description="The canary's share of new conversations in percent"
// +kubebuilder:printcolumn:name="PHASE",type=string,JSONPath=`.status.phase`,description="Where the rollout is"
// +kubebuilder:printcolumn:name="READY",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether conversations are served"
// +kubebuilder:printcolumn:name="REASON",type=string,priority=1,JSONPath=`.status.reason`,description="Why the rollout is where it is"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`,description="Time since the agent was created"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.handoffs) || !self.spec.handoffs.exists(handoff, handoff.agent == self.metadata.name)",fieldPath=".spec.handoffs",message="an agent can't hand off to itself"
type Agent struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec is what the agent shall be. The same file runs on one machine with `serin up`.
	Spec agentspec.AgentSpec `json:"spec"`
	// Status is what has become of it; the controller writes it.
	//
	// +optional
	Status AgentStatus `json:"status,omitzero"`
}

// AgentList is a list of agents.
//
// +kubebuilder:object:root=true
type AgentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []Agent `json:"items"`
}
