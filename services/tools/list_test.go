package tools

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

func names(tools []*toolsv1.Tool) []string {
	all := make([]string, 0, len(tools))
	for _, tool := range tools {
		all = append(all, tool.GetName())
	}

	return all
}

func TestListToolsIsWhatWasGranted(t *testing.T) {
	yes, no := true, false
	tools := newHouse(t,
		withTool("effect", agentspec.ToolSettings{Approval: "always", Idempotent: &yes}),
		withTool("echo", agentspec.ToolSettings{Idempotent: &no}),
		func(config *Config) {
			config.Grants["triage"] = []agentspec.Tool{
				{Name: "puppet_pid", Approval: "always"}, {Name: "puppet_missing"}, {Name: "clock"}, {Name: "puppet_pid"},
			}
		}).move()

	all, err := tools.client.ListTools(as(t.Context(), "billing"), &toolsv1.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}

	want := []string{
		"calculator", "puppet_big", "puppet_echo", "puppet_effect", "puppet_effect_again", "puppet_environment", "puppet_fail",
		"puppet_grow", "puppet_liar", "puppet_pid", "clock",
	}
	if got := names(all.GetTools()); !slices.Equal(got, want) {
		t.Errorf("billing may use %v, want %v", got, want)
	}

	flags := map[string]string{}

	for _, tool := range all.GetTools() {
		flag := ""
		if tool.GetNeedsApproval() {
			flag += "approval "
		}

		if tool.GetIdempotent() {
			flag += "idempotent "
		}

		flags[tool.GetName()] = flag + tool.GetServer()

		if !strings.HasPrefix(tool.GetInputSchema(), "{") || tool.GetDescription() == "" {
			t.Errorf("%v", tool)
		}
	}

	for name, want := range map[string]string{
		"calculator": "idempotent builtin", "puppet_effect": "approval idempotent puppet", "puppet_echo": "puppet",
		"puppet_effect_again": "idempotent puppet", "puppet_pid": "idempotent puppet", "puppet_fail": "puppet",
	} {
		if flags[name] != want {
			t.Errorf("%s: %q, want %q", name, flags[name], want)
		}
	}

	few, err := tools.client.ListTools(as(t.Context(), "triage"), &toolsv1.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}

	if got := names(few.GetTools()); !slices.Equal(got, []string{"puppet_pid", "clock"}) || !few.GetTools()[0].GetNeedsApproval() {
		t.Errorf("triage may use %v", few.GetTools())
	}
}

func TestListToolsByName(t *testing.T) {
	tools := newHouse(t).move()

	got, err := tools.client.ListTools(as(t.Context(), "billing"),
		&toolsv1.ListToolsRequest{Names: []string{"puppet_liar", "clock"}})
	if err != nil || !slices.Equal(names(got.GetTools()), []string{"puppet_liar", "clock"}) {
		t.Errorf("%v %v", got, err)
	}

	if got.GetTools()[0].GetOutputSchema() == "" || got.GetTools()[1].GetOutputSchema() != "" {
		t.Errorf("output schemas: %v", got.GetTools())
	}

	for name, code := range map[string]codes.Code{"puppet_none": codes.NotFound, "other_tool": codes.NotFound, "nothing": codes.NotFound} {
		if _, err := tools.client.ListTools(as(t.Context(), "billing"), &toolsv1.ListToolsRequest{Names: []string{name}}); fault.CodeOf(err) != code {
			t.Errorf("%s: %v", name, err)
		}
	}

	if _, err := tools.client.ListTools(as(t.Context(), "triage"), &toolsv1.ListToolsRequest{Names: []string{"puppet_echo"}}); !fault.Is(err, "TOOL_NOT_ALLOWED") {
		t.Errorf("not granted: %v", err)
	}
}

func TestListToolsFollowsTheServer(t *testing.T) { overEach(t, testListToolsFollowsTheServer) }

func testListToolsFollowsTheServer(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	tools := newHouse(t).move()

	if got := tools.execute("g0", "puppet_grown", `{}`); !fault.Is(got.err, "TOOL_UNKNOWN") {
		t.Fatalf("before: %v", got.err)
	}

	wantOutcome(t, tools.execute("g1", "puppet_grow", `{}`), ok)
	eventually(t, "the new tool is listed", func() bool {
		got, err := tools.client.ListTools(as(t.Context(), "billing"), &toolsv1.ListToolsRequest{Names: []string{"puppet_grown"}})

		return err == nil && len(got.GetTools()) == 1
	})
	wantOutcome(t, tools.execute("g2", "puppet_grown", `{}`), ok)
}

func TestReady(t *testing.T) {
	house := newHouse(t)
	tools := house.move()

	wantOutcome(t, tools.execute("y1", "puppet_echo", `{}`), ok)

	if err := tools.service.Ready(t.Context()); err != nil {
		t.Errorf("with its server up: %v", err)
	}

	tools.service.SetGrants(map[string][]agentspec.Tool{"billing": {{Name: "puppet_echo"}, {Name: "puppet_lost"}}})

	if err := tools.service.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "puppet_lost") {
		t.Errorf("with a granted tool missing: %v", err)
	}
}

func TestServersSeeNoSecrets(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "sk-secret")

	got := newHouse(t).move().execute("i1", "puppet_environment", `{}`)
	wantOutcome(t, got, ok)

	for line := range strings.Lines(got.result.GetOutput()) {
		name, _, _ := strings.Cut(line, "=")
		if !slices.Contains([]string{"PATH", "HOME", puppetVariable, effectsVariable}, name) {
			t.Errorf("the server sees %s", name)
		}
	}
}
