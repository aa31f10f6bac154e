package agentspec

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
	//
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || size(self[0].trim()) > 0",message="want a program's name or path"
	Command []string `json:"command" required:"true" max:"128" items:"32768"`
	// Env is added to the server's environment, which is otherwise only PATH and HOME.
	//
	// +kubebuilder:validation:XValidation:rule="self.all(name, size(name) > 0 && !name.contains('=') && !name.contains('\\x00') && !self[name].contains('\\x00'))",message="not an environment variable: names have no =, and nothing has a zero byte"
	Env map[string]string `json:"env,omitempty" max:"128" items:"32768"`
	// Tools are settings by the server's own tool name; a tool that is not listed gets the defaults.
	//
	// +kubebuilder:validation:XValidation:rule="self.all(name, size(name) > 0)",message="a tool's name must not be empty"
	Tools map[string]ToolSettings `json:"tools,omitempty" max:"512"`
	// Defaults apply to every tool of the server.
	Defaults ToolSettings `json:"defaults,omitzero"`
}

// ToolSettings are how the platform treats a tool. Zero values mean the server's defaults, and then the platform's.
type ToolSettings struct {
	// Approval is "always", where a human must approve each call, or "never", which is the platform's default.
	Approval string `json:"approval,omitempty" enum:"never,always"`
	// Idempotent says that the tool may run again with the same call id, which it gets as _meta "serin.dev/call-id".
	// By default the tool's own MCP annotations decide (readOnlyHint or idempotentHint).
	Idempotent *bool `json:"idempotent,omitempty"`
	// Timeout of one call; the platform's default is 30s.
	Timeout Duration `json:"timeout,omitempty" min:"1ms" max:"1h"`
	// MaxConcurrent calls of the tool at once; the platform's default is 16.
	MaxConcurrent int32 `json:"maxConcurrent,omitempty" min:"1" max:"10000"`
	// MaxOutputBytes of one result; the platform's default is 65,536. Longer ones are cut, and say so.
	MaxOutputBytes int64 `json:"maxOutputBytes,omitempty" min:"1" max:"16777216"`
}
