package agentspec

// APIVersion is the version of the objects in this package.
const APIVersion = "serin.dev/v1alpha1"

// The kinds of objects.
const (
	KindAgent     = "Agent"
	KindMCPServer = "MCPServer"
)

// Agent is a role: a prompt, a model, tools, guardrails, and whom it may hand off to.
type Agent struct {
	APIVersion string    `json:"apiVersion" required:"true" enum:"serin.dev/v1alpha1"`
	Kind       string    `json:"kind" required:"true" enum:"Agent"`
	Metadata   Metadata  `json:"metadata" required:"true"`
	Spec       AgentSpec `json:"spec" required:"true"`
}

// Metadata names an object. Only the name is read outside of a cluster.
type Metadata struct {
	// Name is a DNS label of at most 40 characters; serin- is reserved.
	Name        string            `json:"name" required:"true" format:"name"`
	Namespace   string            `json:"namespace,omitempty" format:"label"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// AgentSpec is what a user declares. The tag revision says of each field whether it is part of the revision; with a
// field, everything below it is.
type AgentSpec struct {
	// Behaviour.

	// Description says what the agent is for, in a sentence. Other agents' models read it to decide on a handoff.
	Description string `json:"description" revision:"yes" required:"true" max:"1024"`
	// Prompt is the system prompt: exactly one of its sources.
	Prompt Prompt `json:"prompt" revision:"yes" required:"true"`
	// Model is the model that the agent uses, what it falls back to, and its parameters.
	Model Model `json:"model,omitzero" revision:"yes"`
	// Tools are the tools that the agent may use. No other tool is shown to its model.
	Tools []Tool `json:"tools,omitempty" revision:"yes" max:"128" unique:"name"`
	// Handoffs are the agents that control of a conversation may pass to. No other agent accepts this one's calls.
	Handoffs []Handoff `json:"handoffs,omitempty" revision:"yes" max:"64" unique:"agent"`
	// Guardrails stop texts on their way in and out.
	Guardrails Guardrails `json:"guardrails,omitzero" revision:"yes"`
	// Retriever finds passages of documents for the agent's prompts. Changing a document starts no rollout.
	Retriever *Retriever `json:"retriever,omitempty" revision:"yes"`
	// Memory is what is remembered of users beyond one conversation.
	Memory *Memory `json:"memory,omitempty" revision:"yes"`
	// Budgets limit one turn from this agent on.
	Budgets Budgets `json:"budgets,omitzero" revision:"yes"`
	// Image is the container image of the agent, by digest. It is part of the revision only if it is set; by default it
	// is the platform's own.
	Image string `json:"image,omitempty" revision:"yes" format:"image" max:"1024"`

	// Not behaviour: changing these starts no rollout.

	// Entry marks the one agent that new conversations meet. Changing it starts no rollout.
	Entry bool `json:"entry,omitempty" revision:"no"`
	// Rollout is how a new revision takes over. Changing it starts no rollout.
	Rollout Rollout `json:"rollout,omitzero" revision:"no"`
	// SLA is what users may expect of the agent. Changing it starts no rollout.
	SLA SLA `json:"sla,omitzero" revision:"no"`
	// Scaling is how many replicas a cluster runs. Changing it starts no rollout.
	Scaling Scaling `json:"scaling,omitzero" revision:"no"`
	// Pod is merged over the pods that a cluster makes for the agent; one machine has no pods and passes it over.
	// Changing it restarts the pods of every live revision, and starts no rollout.
	Pod Pod `json:"pod,omitzero" revision:"no"`
}
