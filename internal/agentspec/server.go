package agentspec

// MCPServer is a server of tools that agents refer to by its name.
type MCPServer struct {
	APIVersion string        `json:"apiVersion" required:"true" enum:"serin.dev/v1alpha1"`
	Kind       string        `json:"kind" required:"true" enum:"MCPServer"`
	Metadata   Metadata      `json:"metadata" required:"true"`
	Spec       MCPServerSpec `json:"spec" required:"true"`
}

// MCPServerSpec says how to reach the server and how its tools are treated. With command it is a program that speaks MCP
// on its standard input and output; with url alone one that speaks MCP over streamable HTTP; with url and http or openapi
// it is any HTTP API, whose requests are the tools.
//
// +kubebuilder:validation:XValidation:rule="(has(self.command) && size(self.command) > 0) || (has(self.url) && size(self.url) > 0)",message="required: one of command, url"
// +kubebuilder:validation:XValidation:rule="!(has(self.command) && size(self.command) > 0 && has(self.url) && size(self.url) > 0)",message="want one of command and url, not both"
// +kubebuilder:validation:XValidation:rule="!(has(self.http) && size(self.http) > 0 && has(self.openapi))",message="want one of http and openapi, not both"
// +kubebuilder:validation:XValidation:rule="!has(self.env) || size(self.env) == 0 || (has(self.command) && size(self.command) > 0)",fieldPath=".env",message="has a meaning with command only"
// +kubebuilder:validation:XValidation:rule="!has(self.headers) || size(self.headers) == 0 || (has(self.url) && size(self.url) > 0)",fieldPath=".headers",message="has a meaning with url only"
// +kubebuilder:validation:XValidation:rule="!has(self.auth) || (has(self.url) && size(self.url) > 0)",fieldPath=".auth",message="has a meaning with url only"
// +kubebuilder:validation:XValidation:rule="!has(self.http) || size(self.http) == 0 || (has(self.url) && size(self.url) > 0)",fieldPath=".http",message="has a meaning with url only"
// +kubebuilder:validation:XValidation:rule="!has(self.openapi) || (has(self.url) && size(self.url) > 0)",fieldPath=".openapi",message="has a meaning with url only"
type MCPServerSpec struct {
	// Command starts the server, which speaks MCP on its standard input and output. The first word "serin" means
	// Serin's own binary, wherever it is.
	//
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || size(self[0].trim()) > 0",message="want a program's name or path"
	Command []string `json:"command,omitempty" max:"128" items:"32768"`
	// Env is added to the server's environment, which is otherwise only PATH and HOME.
	//
	// +kubebuilder:validation:XValidation:rule="self.all(name, size(name) > 0 && !name.contains('=') && !name.contains('\\x00') && !self[name].contains('\\x00'))",message="not an environment variable: names have no =, and nothing has a zero byte"
	Env map[string]string `json:"env,omitempty" max:"128" items:"32768"`
	// URL is where the server speaks MCP over streamable HTTP. With http or openapi it is what the tools' paths follow.
	// Requests go nowhere else, whatever arguments and documents say.
	URL string `json:"url,omitempty" format:"url" max:"2048"`
	// Headers are sent with each request.
	Headers []Header `json:"headers,omitempty" max:"64" unique:"name"`
	// Auth is how Serin tells the server who it is, beside headers.
	Auth *Auth `json:"auth,omitempty"`
	// Redirects are the hosts that redirects may lead to beside the URL's own, such as files.example.com or
	// api.example.com:8443. They get neither headers nor auth. MCP knows no redirects to other hosts.
	//
	// +kubebuilder:validation:XValidation:rule="self.all(host, host.matches('^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]{1,5})?$'))",message="want a host, or host:port"
	Redirects []string `json:"redirects,omitempty" max:"64" items:"260"`
	// AllowPrivate lets the server be at an address of this machine or of a private network. Without it such addresses
	// are refused, whatever name they hide behind. Link-local ones, where clouds keep their secrets, always are.
	AllowPrivate bool `json:"allowPrivate,omitempty"`
	// TraceContext tells the server which trace a call belongs to: by the header traceparent, and by _meta "traceparent"
	// where it speaks MCP. By default no server is told.
	TraceContext bool `json:"traceContext,omitempty"`
	// HTTP are requests to the URL that are tools, each described here.
	HTTP []HTTPTool `json:"http,omitempty" max:"128" unique:"name"`
	// OpenAPI is a document that describes requests to the URL, some of which are tools.
	OpenAPI *OpenAPI `json:"openapi,omitempty"`
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
	// Idempotent says that the tool may run again with the same call id, which it gets as _meta "serin.dev/call-id", or
	// as the header Idempotency-Key. By default the tool's own MCP annotations decide (readOnlyHint or idempotentHint),
	// and of HTTP requests GET and HEAD are idempotent.
	Idempotent *bool `json:"idempotent,omitempty"`
	// Timeout of one call; the platform's default is 30s.
	Timeout Duration `json:"timeout,omitempty" min:"1ms" max:"1h"`
	// MaxConcurrent calls of the tool at once; the platform's default is 16.
	MaxConcurrent int32 `json:"maxConcurrent,omitempty" min:"1" max:"10000"`
	// MaxOutputBytes of one result; the platform's default is 65,536. Longer ones are cut, and say so.
	MaxOutputBytes int64 `json:"maxOutputBytes,omitempty" min:"1" max:"16777216"`
}
