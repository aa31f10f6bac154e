// Package agentspec is the one definition of an agent's file: its fields, defaults, validation and revision digest. The
// CRD's types embed it, the local loader reads it, the agent process runs it.
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
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Metadata   Metadata  `json:"metadata"`
	Spec       AgentSpec `json:"spec"`
}

// Metadata names an object. Only the name is read outside of a cluster.
type Metadata struct {
	// Name is a DNS label of at most 40 characters; serin- is reserved.
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// AgentSpec is what a user declares. Fields under "behaviour" are part of the revision; the others are not.
type AgentSpec struct {
	// Behaviour.

	// Description says what the agent is for, in a sentence. Other agents' models read it to decide on a handoff.
	Description string     `json:"description"`
	Prompt      Prompt     `json:"prompt"`
	Model       Model      `json:"model"`
	Tools       []Tool     `json:"tools,omitempty"`
	Handoffs    []Handoff  `json:"handoffs,omitempty"`
	Guardrails  Guardrails `json:"guardrails,omitzero"`
	Budgets     Budgets    `json:"budgets,omitzero"`
	// Image is part of the revision only if it is set, and then by digest.
	Image string `json:"image,omitempty"`

	// Not behaviour: changing these starts no rollout.

	// Entry marks the one agent that new conversations meet.
	Entry   bool    `json:"entry,omitempty"`
	Rollout Rollout `json:"rollout,omitzero"`
	Scaling Scaling `json:"scaling,omitzero"`
}

// Prompt is the system prompt: exactly one of its sources.
type Prompt struct {
	Inline string `json:"inline,omitempty"`
	// File is a path relative to the agent's file. Digest is required with it in a cluster, optional on one machine.
	File string `json:"file,omitempty"`
	// Digest is sha256:<64 hex digits> over the prompt's bytes.
	Digest string `json:"digest,omitempty"`
}

// Model is what the agent asks the ambassador for.
type Model struct {
	// Name is the provider's name of the model, or "default" for whatever the ambassador is set to.
	Name string `json:"name"`
	// Fallbacks are models to try in order when the first can't answer.
	Fallbacks []string `json:"fallbacks,omitempty"`
	// Temperature is 0 to 2; unset leaves it to the provider.
	Temperature *float64 `json:"temperature,omitempty"`
	// TopP is above 0 and at most 1; unset leaves it to the provider.
	TopP *float64 `json:"topP,omitempty"`
	// MaxOutputTokens limits one answer; default 1024.
	MaxOutputTokens int64 `json:"maxOutputTokens,omitempty"`
}

// Tool is a tool that the agent may use.
type Tool struct {
	// Name is server_tool for a tool of an MCPServer, server_* for all of them, or a built-in: clock, calculator.
	Name string `json:"name"`
	// Approval is "tool" (default: as the tool server's object says) or "always".
	Approval string `json:"approval,omitempty"`
}

// Handoff is another agent that control may pass to.
type Handoff struct {
	Agent string `json:"agent"`
	// When tells the model when to hand off; by default the other agent's description.
	When string `json:"when,omitempty"`
	// History is what the other agent gets to read: full (default), last, no-tools or summary.
	History string `json:"history,omitempty"`
	// LastN is the number of messages with history: last.
	LastN int32 `json:"lastN,omitempty"`
}

// Guardrails stop texts on their way in and out.
type Guardrails struct {
	Input  []Guardrail `json:"input,omitempty"`
	Output []Guardrail `json:"output,omitempty"`
}

// Guardrail is one rule: exactly one of maxLength, pattern and words.
type Guardrail struct {
	// Name is what the event and the metrics call it.
	Name string `json:"name"`
	// MaxLength is the most bytes that the text may have.
	MaxLength int `json:"maxLength,omitempty"`
	// Pattern is an RE2 regular expression that must not match.
	Pattern string `json:"pattern,omitempty"`
	// Words must not occur, whatever their case, as whole words.
	Words []string `json:"words,omitempty"`
	// Message is what the user is told; a default names the rule.
	Message string `json:"message,omitempty"`
}

// Budgets limit one turn from this agent on; a handoff inherits what remains.
type Budgets struct {
	// Steps are model calls; default 16.
	Steps int32 `json:"steps,omitempty"`
	// Tokens are prompt and completion together; default 200,000.
	Tokens int64 `json:"tokens,omitempty"`
	// CostUSD is a decimal number such as "0.25"; empty means no limit.
	CostUSD string `json:"costUSD,omitempty"`
	// Deadline is how long a turn may take, waiting for humans not counted; default 2m.
	Deadline Duration `json:"deadline,omitempty"`
	// Hops are handoffs; default 8.
	Hops int32 `json:"hops,omitempty"`
}

// Rollout is how a new revision takes over.
type Rollout struct {
	// Steps are the candidate's percentages in order; default 5, 25, 50, 100.
	Steps []int32 `json:"steps,omitempty"`
	// Pause is the time between steps; default 10m.
	Pause Duration `json:"pause,omitempty"`
	// Promotion is manual (default) or automatic.
	Promotion string `json:"promotion,omitempty"`
}

// Scaling is how many replicas a cluster runs; one machine runs one process.
type Scaling struct {
	MinReplicas int32 `json:"minReplicas,omitempty"`
	MaxReplicas int32 `json:"maxReplicas,omitempty"`
	// MaxConcurrentSegments is how many segments one process runs at once; default 256.
	MaxConcurrentSegments int32 `json:"maxConcurrentSegments,omitempty"`
}

// MCPServer is a server of tools that agents refer to by its name.
type MCPServer struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Metadata   Metadata      `json:"metadata"`
	Spec       MCPServerSpec `json:"spec"`
}

// MCPServerSpec says how to reach the server and how its tools are treated.
type MCPServerSpec struct {
	// Command starts the server, which speaks MCP on its standard input and output. The first word "serin" means
	// Serin's own binary, wherever it is.
	Command []string `json:"command"`
	// Env is added to the server's environment, which is otherwise only PATH and HOME.
	Env map[string]string `json:"env,omitempty"`
	// Tools are settings by the server's own tool name; a tool that is not listed gets the defaults.
	Tools map[string]ToolSettings `json:"tools,omitempty"`
	// Defaults apply to every tool of the server.
	Defaults ToolSettings `json:"defaults,omitzero"`
}

// ToolSettings are how the platform treats a tool. Zero values mean the default.
type ToolSettings struct {
	// Approval is "never" (default) or "always": a human must approve each call.
	Approval string `json:"approval,omitempty"`
	// Idempotent says that the tool may run again with the same call id, which it gets as _meta "serin.dev/call-id".
	// By default the tool's own MCP annotations decide (readOnlyHint or idempotentHint).
	Idempotent *bool `json:"idempotent,omitempty"`
	// Timeout of one call; default 30s.
	Timeout Duration `json:"timeout,omitempty"`
	// MaxConcurrent calls of the tool at once; default 16.
	MaxConcurrent int32 `json:"maxConcurrent,omitempty"`
	// MaxOutputBytes of one result; default 65,536; longer ones are cut, and say so.
	MaxOutputBytes int64 `json:"maxOutputBytes,omitempty"`
}
