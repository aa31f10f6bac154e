package agentspec

// APIVersion is the version of the objects in this package.
const APIVersion = "serin.dev/v1alpha1"

// The kinds of objects.
const (
	KindAgent     = "Agent"
	KindMCPServer = "MCPServer"
)

// Agent is a role: a prompt, a model, tools, guardrails, and whom it may hand off to.
type Agent struct { //nolint:recvcheck // what changes an agent needs a pointer; what reads one takes a copy
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
	Description string     `json:"description" revision:"yes" required:"true" max:"1024"`
	Prompt      Prompt     `json:"prompt" revision:"yes" required:"true"`
	Model       Model      `json:"model,omitzero" revision:"yes"`
	Tools       []Tool     `json:"tools,omitempty" revision:"yes" max:"128"`
	Handoffs    []Handoff  `json:"handoffs,omitempty" revision:"yes" max:"64"`
	Guardrails  Guardrails `json:"guardrails,omitzero" revision:"yes"`
	Budgets     Budgets    `json:"budgets,omitzero" revision:"yes"`
	// Image is part of the revision only if it is set, and then by digest.
	Image string `json:"image,omitempty" revision:"yes" format:"image"`

	// Not behaviour: changing these starts no rollout.

	// Entry marks the one agent that new conversations meet.
	Entry   bool    `json:"entry,omitempty" revision:"no"`
	Rollout Rollout `json:"rollout,omitzero" revision:"no"`
	SLA     SLA     `json:"sla,omitzero" revision:"no"`
	Scaling Scaling `json:"scaling,omitzero" revision:"no"`
}

// Prompt is the system prompt: exactly one of its sources. Once resolved it is inline.
type Prompt struct {
	Inline string `json:"inline,omitempty" max:"1048576"`
	// File is a path at or below the folder of the agent's file. Digest is required with it in a cluster, optional on
	// one machine.
	File string `json:"file,omitempty" max:"1024"`
	// Digest is sha256:<64 hex digits> over the prompt's bytes.
	Digest string `json:"digest,omitempty" format:"digest"`
}

// Model is what the agent asks the ambassador for.
type Model struct {
	// Name is the provider's name of the model, or "default" (the default) for whatever the ambassador is set to.
	Name string `json:"name,omitempty" default:"default" max:"256"`
	// Fallbacks are models to try in order when the first can't answer.
	Fallbacks []string `json:"fallbacks,omitempty" max:"8"`
	// Temperature is 0 to 2; unset leaves it to the provider.
	Temperature *float64 `json:"temperature,omitempty" min:"0" max:"2"`
	// TopP is 0.001 to 1; unset leaves it to the provider.
	TopP *float64 `json:"topP,omitempty" min:"0.001" max:"1"`
	// MaxOutputTokens limits one answer; default 1024.
	MaxOutputTokens int64 `json:"maxOutputTokens,omitempty" default:"1024" min:"1" max:"1000000"`
}

// Tool is a tool that the agent may use.
type Tool struct {
	// Name is server_tool for a tool of an MCPServer, server_* for all of them, or a built-in: clock, calculator.
	Name string `json:"name" required:"true" format:"tool"`
	// Approval is "tool" (default: as the tool server's object says) or "always".
	Approval string `json:"approval,omitempty" default:"tool" enum:"tool,always"`
}

// Handoff is another agent that control may pass to.
type Handoff struct {
	Agent string `json:"agent" required:"true" format:"name"`
	// When tells the model when to hand off; by default the other agent's description.
	When string `json:"when,omitempty" max:"1024"`
	// History is what the other agent gets to read: full (default), last, no-tools or summary.
	History string `json:"history,omitempty" default:"full" enum:"full,last,no-tools,summary"`
	// LastN is the number of messages with history: last, and required there.
	LastN int32 `json:"lastN,omitempty" min:"1" max:"1000"`
}

// Guardrails stop texts on their way in and out.
type Guardrails struct {
	Input  []Guardrail `json:"input,omitempty" max:"64"`
	Output []Guardrail `json:"output,omitempty" max:"64"`
}

// Guardrail is one rule: exactly one of maxLength, pattern and words.
type Guardrail struct {
	// Name is what the event and the metrics call it.
	Name string `json:"name" required:"true" format:"label"`
	// MaxLength is the most bytes that the text may have.
	MaxLength int `json:"maxLength,omitempty" min:"1" max:"1048576"`
	// Pattern is an RE2 regular expression that must not match.
	Pattern string `json:"pattern,omitempty" max:"4096" format:"regexp"`
	// Words must not occur, whatever their case, as whole words.
	Words []string `json:"words,omitempty" max:"1024"`
	// Message is what the user is told; a default names the rule.
	Message string `json:"message,omitempty" max:"4096"`
}

// Budgets limit one turn from this agent on; a handoff inherits what remains.
type Budgets struct {
	// Steps are model calls; default 16.
	Steps int32 `json:"steps,omitempty" default:"16" min:"1" max:"1000"`
	// Tokens are prompt and completion together; default 200,000.
	Tokens int64 `json:"tokens,omitempty" default:"200000" min:"1" max:"1000000000"`
	// CostUSD is a decimal number such as "0.25"; empty means no limit.
	CostUSD string `json:"costUSD,omitempty" format:"usd"`
	// Deadline is how long a turn may take, waiting for humans not counted; default 2m.
	Deadline Duration `json:"deadline,omitempty" default:"2m" min:"1s" max:"24h"`
	// Hops are handoffs; default 8.
	Hops int32 `json:"hops,omitempty" default:"8" min:"1" max:"64"`
}

// Rollout is how a new revision takes over.
type Rollout struct {
	// Steps are the candidate's percentages in order, rising from 1 to 100; default 5, 25, 50, 100.
	Steps []int32 `json:"steps,omitempty" default:"5,25,50,100" max:"20"`
	// Pause is the least time at each step of an automatic rollout; default 10m.
	Pause Duration `json:"pause,omitempty" default:"10m" min:"1s" max:"720h"`
	// Promotion is manual (default): a person promotes each step; or automatic: gates do.
	Promotion string `json:"promotion,omitempty" default:"manual" enum:"manual,automatic"`
	// UndoWindow is how long the revision before stays warm after a promotion; default 15m.
	UndoWindow Duration `json:"undoWindow,omitempty" default:"15m" min:"1s" max:"720h"`
	// RetireIdle is how long a replaced revision must have been without a turn before it goes; default 24h.
	RetireIdle Duration `json:"retireIdle,omitempty" default:"24h" min:"1s" max:"720h"`
	// RetireAfter is when a replaced revision goes at the latest; default 168h.
	RetireAfter Duration `json:"retireAfter,omitempty" default:"168h" min:"1s" max:"8760h"`
	// ExcludeTenants never meet a candidate.
	ExcludeTenants []string `json:"excludeTenants,omitempty" max:"64"`
}

// SLA is what users may expect of the agent's own part of a turn.
type SLA struct {
	// P99 is the latency that 99 of 100 segments keep; default 30s. Automatic rollouts abort above it.
	P99 Duration `json:"p99,omitempty" default:"30s" min:"1ms" max:"24h"`
}

// Scaling is how many replicas a cluster runs; one machine runs one process.
type Scaling struct {
	// MinReplicas is the floor; default 2.
	MinReplicas int32 `json:"minReplicas,omitempty" default:"2" min:"1" max:"1000"`
	// MaxReplicas is the ceiling; default 20.
	MaxReplicas int32 `json:"maxReplicas,omitempty" default:"20" min:"1" max:"1000"`
	// MaxConcurrentSegments is how many segments one process runs at once; default 256.
	MaxConcurrentSegments int32 `json:"maxConcurrentSegments,omitempty" default:"256" min:"1" max:"100000"`
}

// MCPServer is a server of tools that agents refer to by its name.
type MCPServer struct {
	APIVersion string        `json:"apiVersion" required:"true" enum:"serin.dev/v1alpha1"`
	Kind       string        `json:"kind" required:"true" enum:"MCPServer"`
	Metadata   Metadata      `json:"metadata" required:"true"`
	Spec       MCPServerSpec `json:"spec" required:"true"`
}

// MCPServerSpec says how to reach the server and how its tools are treated.
type MCPServerSpec struct {
	// Command starts the server, which speaks MCP on its standard input and output. The first word "serin" means
	// Serin's own binary, wherever it is.
	Command []string `json:"command" required:"true" max:"128"`
	// Env is added to the server's environment, which is otherwise only PATH and HOME.
	Env map[string]string `json:"env,omitempty" max:"128"`
	// Tools are settings by the server's own tool name; a tool that is not listed gets the defaults.
	Tools map[string]ToolSettings `json:"tools,omitempty" max:"512"`
	// Defaults apply to every tool of the server.
	Defaults ToolSettings `json:"defaults,omitzero"`
}

// ToolSettings are how the platform treats a tool. Zero values mean the server's defaults, and then the platform's.
type ToolSettings struct {
	// Approval is "never" (default) or "always": a human must approve each call.
	Approval string `json:"approval,omitempty" enum:"never,always"`
	// Idempotent says that the tool may run again with the same call id, which it gets as _meta "serin.dev/call-id".
	// By default the tool's own MCP annotations decide (readOnlyHint or idempotentHint).
	Idempotent *bool `json:"idempotent,omitempty"`
	// Timeout of one call; default 30s.
	Timeout Duration `json:"timeout,omitempty" min:"1ms" max:"1h"`
	// MaxConcurrent calls of the tool at once; default 16.
	MaxConcurrent int32 `json:"maxConcurrent,omitempty" min:"1" max:"10000"`
	// MaxOutputBytes of one result; default 65,536; longer ones are cut, and say so.
	MaxOutputBytes int64 `json:"maxOutputBytes,omitempty" min:"1" max:"16777216"`
}
