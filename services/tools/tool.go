package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/agentspec/schema"
)

// The defaults of agentspec.ToolSettings.
const (
	defaultTimeout        = 30 * time.Second
	defaultMaxConcurrent  = 16
	defaultMaxOutputBytes = 64 << 10
)

// tool is one tool as it is offered and run. It does not change; a new listing makes a new one.
type tool struct {
	// about is what ListTools says; its needs_approval is the tool's own.
	about *toolsv1.Tool
	// remote is the name that the backend knows.
	remote        string
	input, output *jsonschema.Resolved // output is nil if the tool promises nothing
	timeout       time.Duration
	maxOutput     int64
	slots         slots
	// traced says that the backend is told of the trace.
	traced  bool
	backend backend
}

// backend is where a tool runs.
type backend interface {
	// ready returns once a call could be sent, or with a fault that says why not.
	ready(ctx context.Context) error
	// call runs the tool. An error means that there is no answer; it is errNotSent if the tool never saw the call.
	call(ctx context.Context, call invocation) (reply, error)
}

// invocation is one call on its way to a backend.
type invocation struct {
	tool      string
	callID    string
	arguments json.RawMessage
	// idempotent says that the tool may run again, so that what is no certain answer may be reported as none.
	idempotent bool
	maxOutput  int64
	// trace is the traceparent to tell of; empty if the backend is not told.
	trace    string
	progress func(*eventv1.ToolProgress)
}

// errNotSent means that a call certainly had no effect.
var errNotSent = errors.New("the call was not sent")

// newTool makes a tool out of what a server lists and how its object wants it treated.
func newTool(server string, listed *mcp.Tool, spec agentspec.MCPServerSpec) (*tool, error) {
	input, inputText, err := readSchema(listed.InputSchema)
	if err != nil {
		return nil, fmt.Errorf("input schema: %w", err)
	}

	if input == nil {
		return nil, errors.New("it has no input schema")
	}

	output, outputText, err := readSchema(listed.OutputSchema)
	if err != nil {
		return nil, fmt.Errorf("output schema: %w", err)
	}

	settings := settingsOf(spec, listed.Name)
	made := &tool{
		traced: spec.TraceContext,
		about: &toolsv1.Tool{
			Name: modelName(server, listed.Name), Description: describe(listed), Server: server,
			InputSchema: inputText, OutputSchema: outputText,
			NeedsApproval: settings.Approval == alwaysAsk, Idempotent: isIdempotent(settings, listed.Annotations),
		},
		remote: listed.Name, input: input, output: output,
	}
	made.limit(settings)

	return made, nil
}

func (t *tool) limit(settings agentspec.ToolSettings) {
	t.timeout = time.Duration(settings.Timeout)
	t.maxOutput = settings.MaxOutputBytes

	orDefault(&t.timeout, defaultTimeout)

	if t.maxOutput <= 0 {
		t.maxOutput = defaultMaxOutputBytes
	}
}

// settingsOf merges a tool's own settings over the server's defaults.
func settingsOf(spec agentspec.MCPServerSpec, tool string) agentspec.ToolSettings {
	merged, own := spec.Defaults, spec.Tools[tool]

	if own.Approval != "" {
		merged.Approval = own.Approval
	}

	if own.Idempotent != nil {
		merged.Idempotent = own.Idempotent
	}

	if own.Timeout > 0 {
		merged.Timeout = own.Timeout
	}

	if own.MaxConcurrent > 0 {
		merged.MaxConcurrent = own.MaxConcurrent
	}

	if own.MaxOutputBytes > 0 {
		merged.MaxOutputBytes = own.MaxOutputBytes
	}

	return merged
}

// isIdempotent: the object decides; without its word the server's own annotations do.
func isIdempotent(settings agentspec.ToolSettings, annotations *mcp.ToolAnnotations) bool {
	if settings.Idempotent != nil {
		return *settings.Idempotent
	}

	return annotations != nil && (annotations.ReadOnlyHint || annotations.IdempotentHint)
}

func describe(listed *mcp.Tool) string {
	switch {
	case listed.Description != "":
		return listed.Description
	case listed.Title != "":
		return listed.Title
	default:
		return listed.Name
	}
}

// readSchema compiles a schema as it came over the wire; nil for none.
func readSchema(raw any) (*jsonschema.Resolved, string, error) {
	if raw == nil {
		return nil, "", nil
	}

	text, err := encode(raw)
	if err != nil {
		return nil, "", err
	}

	resolved, err := schema.Compile([]byte(text))

	return resolved, text, err
}
