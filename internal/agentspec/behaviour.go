package agentspec

// Prompt is the system prompt: exactly one of its sources. Once resolved it is inline.
//
// +kubebuilder:validation:XValidation:rule="(has(self.inline) && size(self.inline) > 0) || (has(self.file) && size(self.file) > 0) || has(self.configMapKeyRef)",message="required: one of inline, file, configMapKeyRef"
// +kubebuilder:validation:XValidation:rule="!(has(self.inline) && size(self.inline) > 0 && has(self.file) && size(self.file) > 0)",message="want one source, not inline and file"
// +kubebuilder:validation:XValidation:rule="!(has(self.inline) && size(self.inline) > 0 && has(self.configMapKeyRef))",message="want one source, not inline and configMapKeyRef"
// +kubebuilder:validation:XValidation:rule="!(has(self.file) && size(self.file) > 0 && has(self.configMapKeyRef))",message="want one source, not file and configMapKeyRef"
// +kubebuilder:validation:XValidation:rule="!has(self.configMapKeyRef) || (has(self.digest) && size(self.digest) > 0)",fieldPath=".digest",message="required with configMapKeyRef: a ConfigMap can change, and a revision can't"
type Prompt struct {
	// Inline is the prompt itself.
	//
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || size(self.trim()) > 0",message="the prompt is blank"
	Inline string `json:"inline,omitempty" max:"1048576"`
	// File is a path at or below the folder of the agent's file. Only one machine has files: a cluster refuses it.
	//
	// +kubebuilder:validation:XValidation:rule="size(self) == 0",message="a cluster has no files: write the text as prompt.inline, or put it into a ConfigMap and give prompt.configMapKeyRef and prompt.digest"
	File string `json:"file,omitempty" max:"1024"`
	// ConfigMapKeyRef is where the prompt is in a ConfigMap of the agent's namespace. Only a cluster has ConfigMaps.
	ConfigMapKeyRef *ConfigMapKeyRef `json:"configMapKeyRef,omitempty"`
	// Digest is sha256: and 64 hex digits over the prompt's bytes, such as `sha256sum FILE` prints. A prompt with another
	// digest is refused. It is required with configMapKeyRef.
	Digest string `json:"digest,omitempty" format:"digest"`
}

// ConfigMapKeyRef is a text in a ConfigMap.
type ConfigMapKeyRef struct {
	// Name is the ConfigMap's name.
	Name string `json:"name" required:"true" format:"subdomain"`
	// Key is the key of its data that holds the text.
	Key string `json:"key" required:"true" format:"key"`
}

// Model is what the agent asks the ambassador for.
type Model struct {
	// Name is the provider's name of the model, or "default" for whatever the ambassador is set to.
	Name string `json:"name,omitempty" default:"default" max:"256"`
	// Fallbacks are models to try in order when the first can't answer.
	Fallbacks []string `json:"fallbacks,omitempty" max:"8" items:"256" blank:"no"`
	// Temperature of the sampling; unset leaves it to the provider.
	Temperature *float64 `json:"temperature,omitempty" min:"0" max:"2"`
	// TopP is the share of probability that is sampled from; unset leaves it to the provider.
	TopP *float64 `json:"topP,omitempty" min:"0.001" max:"1"`
	// MaxOutputTokens limits one answer.
	MaxOutputTokens int64 `json:"maxOutputTokens,omitempty" default:"1024" min:"1" max:"1000000"`
}

// Tool is a tool that the agent may use.
type Tool struct { //nolint:recvcheck // what is generated takes a pointer; what reads a tool takes a copy
	// Name is server_tool for a tool of an MCPServer, server_* for all of them, or a built-in: clock, calculator.
	//
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-z]+$') || self in ['calculator', 'clock']",messageExpression="'no built-in tool %s; allowed here: calculator, clock; tools of servers are server_tool'.format([size(self) > 64 ? strings.quote(self.substring(0, 64)) + '…' : strings.quote(self)])"
	Name string `json:"name" required:"true" format:"tool" max:"256"`
	// Approval is whether a human must approve each call: "always", or "tool" for what the tool server's object says.
	Approval string `json:"approval,omitempty" default:"tool" enum:"tool,always"`
}

// Handoff is another agent that control may pass to.
//
// +kubebuilder:validation:XValidation:rule="!has(self.history) || self.history != 'last' || has(self.lastN)",fieldPath=".lastN",message="required with history: last; 1 to 1000 messages"
// +kubebuilder:validation:XValidation:rule="!has(self.lastN) || (has(self.history) && self.history == 'last')",fieldPath=".lastN",message="has a meaning with history: last only"
type Handoff struct {
	// Agent is the other agent's name.
	Agent string `json:"agent" required:"true" format:"name"`
	// When tells the model when to hand off; by default the other agent's description.
	When string `json:"when,omitempty" max:"1024"`
	// History is what the other agent gets to read of the conversation.
	History string `json:"history,omitempty" default:"full" enum:"full,last,no-tools,summary"`
	// LastN is the number of messages with history: last, and required there.
	LastN int32 `json:"lastN,omitempty" min:"1" max:"1000"`
}

// Budgets limit one turn from this agent on; a handoff inherits what remains.
type Budgets struct {
	// Steps are model calls.
	Steps int32 `json:"steps,omitempty" default:"16" min:"1" max:"1000"`
	// Tokens are prompt and completion together.
	Tokens int64 `json:"tokens,omitempty" default:"200000" min:"1" max:"1000000000"`
	// CostUSD is a decimal number such as "0.25"; empty means no limit.
	CostUSD string `json:"costUSD,omitempty" format:"usd"`
	// Deadline is how long a turn may take, waiting for humans not counted.
	Deadline Duration `json:"deadline,omitempty" default:"2m" min:"1s" max:"24h"`
	// Hops are handoffs.
	Hops int32 `json:"hops,omitempty" default:"8" min:"1" max:"64"`
}
