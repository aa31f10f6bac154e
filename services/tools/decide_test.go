package tools

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/rpc"
)

func TestNewRefusesServers(t *testing.T) {
	named := func(name string, command ...string) agentspec.MCPServer {
		return agentspec.MCPServer{Metadata: agentspec.Metadata{Name: name}, Spec: agentspec.MCPServerSpec{Command: command}}
	}

	for want, servers := range map[string][]agentspec.MCPServer{
		"DNS label":         {named("Big_Name", "x")},
		"twice":             {named("a", "x"), named("a", "x")},
		"neither a command": {named("a")},
	} {
		if _, err := New(Config{Context: newMemoryStore(), Servers: servers}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", servers, err, want)
		}
	}

	if _, err := New(Config{}); err == nil {
		t.Error("without a store")
	}
}

func TestPolicyIsForAgents(t *testing.T) {
	service, err := New(Config{Context: newMemoryStore()})
	if err != nil {
		t.Fatal(err)
	}

	policy := service.Policy()
	for _, method := range toolsv1.ToolExecuteService_ServiceDesc.Methods {
		if policy["/"+toolsv1.ToolExecuteService_ServiceDesc.ServiceName+"/"+method.MethodName] == nil {
			t.Errorf("%s has no policy", method.MethodName)
		}
	}

	execute := policy[toolsv1.ToolExecuteService_Execute_FullMethodName]
	if !execute(rpc.Identity{Name: "billing"}) || execute(rpc.Identity{Name: rpc.Gateway}) {
		t.Error("agents may execute, the platform's processes may not")
	}
}

func TestCovers(t *testing.T) {
	for _, test := range []struct {
		grant, name string
		want        bool
	}{
		{"billing_*", "billing_refund", true},
		{"billing_*", "billing_list_invoices", true},
		{"billing_*", "billing-eu_refund", false},
		{"billing_refund", "billing_refund", true},
		{"billing_refund", "billing_refunds", false},
		{"_*", "clock", false},
		{"*", "billing_refund", false},
		{"clock", "clock", true},
	} {
		if got := covers(test.grant, test.name); got != test.want {
			t.Errorf("covers(%q, %q) = %t", test.grant, test.name, got)
		}
	}
}

func TestMakeTools(t *testing.T) {
	object := map[string]any{"type": "object"}

	tools, refused := makeTools("s", []*mcp.Tool{
		{Name: "good", InputSchema: object},
		{Name: "a.b", InputSchema: object},
		{Name: "a b", InputSchema: object},
		{Name: "a/b", InputSchema: object},
		{Name: "no-schema"},
		{Name: "remote", InputSchema: map[string]any{"$ref": "https://example.com/schema.json"}},
		{Name: "old", InputSchema: map[string]any{"$schema": "http://json-schema.org/draft-04/schema#"}},
		{Name: "draft7", InputSchema: map[string]any{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}},
	}, agentspec.MCPServerSpec{})

	if len(tools) != 2 || tools["s_good"] == nil || tools["s_draft7"] == nil {
		t.Errorf("usable: %v", tools)
	}

	if len(refused) != 4 {
		t.Errorf("refused: %v", refused)
	}

	if _, refused := makeTools("handoff", []*mcp.Tool{{Name: "to_billing", InputSchema: object}}, agentspec.MCPServerSpec{}); len(refused) != 1 {
		t.Error("a tool may look like a handoff")
	}
}

func TestSettingsMerge(t *testing.T) {
	no := false
	spec := agentspec.MCPServerSpec{
		Defaults: agentspec.ToolSettings{Approval: "always", Timeout: agentspec.Duration(time.Second), MaxConcurrent: 3, Idempotent: &no},
		Tools:    map[string]agentspec.ToolSettings{"read": {Approval: "never", MaxOutputBytes: 10}},
	}

	got := settingsOf(spec, "read")
	if got.Approval != "never" || got.Timeout != agentspec.Duration(time.Second) || got.MaxConcurrent != 3 || got.MaxOutputBytes != 10 || *got.Idempotent {
		t.Errorf("%+v", got)
	}

	if got := settingsOf(spec, "other"); got.Approval != "always" {
		t.Errorf("%+v", got)
	}
}

// TestExplain is the table of what becomes of a call that has no answer.
func TestExplain(t *testing.T) {
	broken := errors.New("connection closed")

	for _, test := range []struct {
		name       string
		idempotent bool
		err, cause error
		want       string
	}{
		{"server ended", false, broken, nil, "OUTCOME_UNKNOWN"},
		{"server ended", true, broken, nil, "OUTCOME_ERROR"},
		{"timed out", false, errTimedOut, errTimedOut, "OUTCOME_UNKNOWN"},
		{"timed out", true, errTimedOut, errTimedOut, "OUTCOME_ERROR"},
		{"timed out before it was sent", false, errNotSent, errTimedOut, "OUTCOME_ERROR"},
		{"shut down", false, context.Canceled, context.Canceled, "OUTCOME_UNKNOWN"},
		{"shut down", true, context.Canceled, context.Canceled, "DRAINING"},
		{"shut down before it was sent", false, errNotSent, context.Canceled, "DRAINING"},
	} {
		tool := &tool{about: &toolsv1.Tool{Idempotent: test.idempotent, Server: "s"}, timeout: time.Second}

		verdict := tool.explain(test.err, test.cause)

		got := verdict.outcome.String()
		if verdict.err != nil {
			got = "DRAINING"
		}

		if got != test.want {
			t.Errorf("%s, idempotent %t: %s (%s), want %s", test.name, test.idempotent, got, verdict.output, test.want)
		}
	}
}

func TestWaitForOther(t *testing.T) {
	now := time.Unix(1000, 0)

	for left, want := range map[time.Duration]time.Duration{
		-time.Hour:             shortestSleep,
		100 * time.Millisecond: 120 * time.Millisecond,
		3 * time.Second:        500 * time.Millisecond,
	} {
		if got := waitForOther(now.Add(left), now, 3*time.Second); got != want {
			t.Errorf("%s left: %s, want %s", left, got, want)
		}
	}
}

func TestContentText(t *testing.T) {
	got := contentText([]mcp.Content{
		&mcp.TextContent{Text: "one"},
		&mcp.ImageContent{MIMEType: "image/png", Data: []byte("1234")},
		&mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: "file:///a", Text: "two"}},
		&mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: "file:///b", Blob: []byte("123")}},
		&mcp.EmbeddedResource{},
		&mcp.ResourceLink{URI: "file:///c"},
		&mcp.AudioContent{MIMEType: "audio/wav"},
	})
	want := "one\n[image image/png, 4 bytes, left out]\ntwo\n[resource file:///b, 3 bytes, left out]\n" +
		"[resource without contents]\n[resource file:///c]\n[audio audio/wav, 0 bytes, left out]"

	if got != want {
		t.Errorf("got %q", got)
	}
}

func TestStructuredText(t *testing.T) {
	// Decoded, the number is no longer what it was; the text that says the same still has it.
	structured := map[string]any{"id": float64(9007199254740993), "a": "<b>"}
	if got := structuredText(structured, `{ "id": 9007199254740993, "a": "<b>" }`); got != `{"id":9007199254740993,"a":"<b>"}` {
		t.Errorf("got %s", got)
	}

	if got := structuredText(map[string]any{"a": "<b>"}, "see the structure"); got != `{"a":"<b>"}` {
		t.Errorf("got %s", got)
	}
}

func TestDiagnosticsSplitsLines(t *testing.T) {
	var log strings.Builder

	words := &diagnostics{logger: slog.New(slog.NewTextHandler(&log, nil))}
	for _, part := range []string{"first li", "ne\n\nsecond\nthi", "rd"} {
		if _, err := words.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}

	_, _ = words.Write([]byte(strings.Repeat("x", 2*maxLogLine)))

	text := log.String()
	if !strings.Contains(text, `line="first line"`) || !strings.Contains(text, "line=second") || strings.Count(text, "tool server says") != 3 {
		t.Errorf("logged %.300s", text)
	}

	if len(words.rest) > maxLogLine {
		t.Errorf("%d bytes are kept", len(words.rest))
	}
}

func TestOutcomeLabels(t *testing.T) {
	for value := range eventv1.ToolResult_Outcome_name {
		outcome := eventv1.ToolResult_Outcome(value)
		if want := strings.ToLower(strings.TrimPrefix(outcome.String(), "OUTCOME_")); outcomeLabel(outcome) != want {
			t.Errorf("%s is %q", outcome, outcomeLabel(outcome))
		}
	}
}
