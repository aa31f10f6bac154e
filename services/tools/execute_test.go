package tools

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

func TestExecuteRunsAndRecords(t *testing.T) { overEach(t, testExecuteRunsAndRecords) }

func testExecuteRunsAndRecords(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	house := newHouse(t)
	tools := house.move()

	got := tools.execute("t1-1-1-0", "puppet_effect", `{"text":"refund"}`)
	wantOutcome(t, got, ok)

	if got.result.GetOutput() != "done: refund" || got.result.GetCallId() != "t1-1-1-0" || got.result.GetTool() != "puppet_effect" {
		t.Errorf("result %v", got.result)
	}

	if row := house.store.row("t1-1-1-0"); row.result.GetOutput() != "done: refund" || row.started != 1 {
		t.Errorf("recorded %+v", row)
	}

	data, _ := os.ReadFile(house.effects)
	if string(data) != "effect t1-1-1-0 refund\n" {
		t.Errorf("the server saw %q; it must be told the call's id", data)
	}

	again := tools.execute("t1-1-1-0", "puppet_effect", `{"text":"refund"}`)
	wantOutcome(t, again, ok)

	if again.result.GetOutput() != "done: refund" || house.effectLines() != 1 {
		t.Errorf("asked again: %v, %d effects", again.result, house.effectLines())
	}
}

func TestExecuteBuiltins(t *testing.T) {
	house := newHouse(t, func(config *Config) {
		config.Now = func() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }
	})
	tools := house.move()

	for _, test := range []struct{ tool, arguments, output string }{
		{"clock", `{}`, "2026-11-24T12:00:00Z"},
		{"clock", ``, "2026-11-24T12:00:00Z"},
		{"clock", `{"zone":"Europe/Berlin"}`, "2026-11-24T13:00:00+01:00"},
		{"calculator", `{"expression":"(19.99 - 4.5) * 3"}`, "46.47"},
	} {
		got := tools.execute(test.tool+test.arguments, test.tool, test.arguments)
		wantOutcome(t, got, ok)

		if got.result.GetOutput() != test.output {
			t.Errorf("%s %s = %q, want %q", test.tool, test.arguments, got.result.GetOutput(), test.output)
		}
	}

	wantOutcome(t, tools.execute("z1", "clock", `{"zone":"Mars/Olympus"}`), failure)
	wantOutcome(t, tools.execute("z2", "clock", `{"zone":"Local"}`), failure)
	wantOutcome(t, tools.execute("z3", "calculator", `{"expression":"1/0"}`), failure)
}

func TestExecuteRefusesArguments(t *testing.T) { overEach(t, testExecuteRefusesArguments) }

func testExecuteRefusesArguments(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	house := newHouse(t)
	tools := house.move()

	for call, test := range map[string]struct{ arguments, names string }{
		"type":   {`{"text":7}`, "/text"},
		"extra":  {`{"texd":"x"}`, "texd"},
		"syntax": {`{"text":`, "JSON"},
		"array":  {`[]`, "object"},
		"two":    {`{} {}`, "one object"},
	} {
		got := tools.execute(call, "puppet_effect", test.arguments)
		wantOutcome(t, got, failure)

		if !strings.Contains(got.result.GetOutput(), test.names) {
			t.Errorf("%s: %q does not name %q", call, got.result.GetOutput(), test.names)
		}

		if house.store.row(call).result == nil {
			t.Errorf("%s: the refusal is not in the log", call)
		}
	}

	if house.effectLines() != 0 {
		t.Error("a tool ran with arguments that are not valid")
	}
}

func TestExecuteRefusesCallers(t *testing.T) {
	tools := newHouse(t).move()
	ctx := context.Background()

	for _, test := range []struct {
		agent, tool, reason string
		code                codes.Code
	}{
		{"triage", "puppet_effect", "TOOL_NOT_ALLOWED", codes.PermissionDenied},
		{"triage", "calculator", "TOOL_NOT_ALLOWED", codes.PermissionDenied},
		{"stranger", "clock", "TOOL_NOT_ALLOWED", codes.PermissionDenied},
		{"billing", "puppet_nothing", "TOOL_UNKNOWN", codes.NotFound},
		{"billing", "puppet_twin_a", "TOOL_UNKNOWN", codes.NotFound}, // two tools of that name: neither is offered
	} {
		got := tools.ask(as(ctx, test.agent), request("c", test.tool, "{}"))
		if !fault.Is(got.err, test.reason) || fault.CodeOf(got.err) != test.code {
			t.Errorf("%s runs %s: %v, want %s", test.agent, test.tool, got.err, test.reason)
		}
	}

	if got := tools.ask(ctx, request("c", "clock", "{}")); fault.CodeOf(got.err) != codes.Unauthenticated {
		t.Errorf("nobody runs clock: %v", got.err)
	}
}

func TestExecuteAsksForApproval(t *testing.T) {
	house := newHouse(t, withTool("effect", agentspec.ToolSettings{Approval: "always"}))
	tools := house.move()

	if got := tools.execute("a1", "puppet_effect", `{}`); !fault.Is(got.err, "APPROVAL_REQUIRED") {
		t.Fatalf("unapproved: %v %v", got.result, got.err)
	}

	house.store.setApproved("a1")
	wantOutcome(t, tools.execute("a1", "puppet_effect", `{}`), ok)

	// The caller's own rules count too.
	demanding := request("a2", "puppet_echo", `{}`)
	demanding.NeedsApproval = true

	if got := tools.ask(as(context.Background(), "billing"), demanding); !fault.Is(got.err, "APPROVAL_REQUIRED") {
		t.Fatalf("unapproved by the caller's rule: %v %v", got.result, got.err)
	}
}

func TestExecuteLimitsOutput(t *testing.T) { overEach(t, testExecuteLimitsOutput) }

func testExecuteLimitsOutput(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	house := newHouse(t, withTool("big", agentspec.ToolSettings{MaxOutputBytes: 101}))

	got := house.move().execute("b1", "puppet_big", `{"size":500}`)
	wantOutcome(t, got, ok)

	if want := strings.Repeat("ä", 50) + "\n[cut: 100 bytes of 1000 shown]"; got.result.GetOutput() != want {
		t.Errorf("output %q", got.result.GetOutput())
	}
}

func TestExecuteChecksResults(t *testing.T) { overEach(t, testExecuteChecksResults) }

func testExecuteChecksResults(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	tools := newHouse(t).move()

	honest := tools.execute("l1", "puppet_liar", `{"count":12345678}`)
	wantOutcome(t, honest, ok)

	if honest.result.GetOutput() != `{"count":12345678}` {
		t.Errorf("structured content as %q", honest.result.GetOutput())
	}

	lie := tools.execute("l2", "puppet_liar", `{"count":"many"}`)
	wantOutcome(t, lie, failure)

	if !strings.Contains(lie.result.GetOutput(), "output schema") || !strings.Contains(lie.result.GetOutput(), "/count") {
		t.Errorf("output %q", lie.result.GetOutput())
	}

	refusal := tools.execute("l3", "puppet_fail", `{}`)
	wantOutcome(t, refusal, failure)

	if refusal.result.GetOutput() != "the card was declined" {
		t.Errorf("output %q", refusal.result.GetOutput())
	}
}

func TestExecuteShowsProgress(t *testing.T) { overEach(t, testExecuteShowsProgress) }

func testExecuteShowsProgress(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	got := newHouse(t).move().execute("p1", "puppet_effect", `{"wait":200}`)
	wantOutcome(t, got, ok)

	if len(got.progress) != 1 || got.progress[0].GetMessage() != "pausing" || got.progress[0].GetTotal() != 2 || got.progress[0].GetCallId() != "p1" {
		t.Errorf("progress %v", got.progress)
	}
}

func TestExecuteTimesOut(t *testing.T) { overEach(t, testExecuteTimesOut) }

func testExecuteTimesOut(t *testing.T, newHouse func(*testing.T, ...func(*Config)) *house) {
	t.Helper()

	short := agentspec.ToolSettings{Timeout: agentspec.Duration(100 * time.Millisecond)}
	house := newHouse(t, withTool("effect", short), withTool("effect_again", short))
	tools := house.move()

	harmless := tools.execute("d1", "puppet_effect_again", `{"wait":10000}`)
	wantOutcome(t, harmless, failure)

	if !strings.Contains(harmless.result.GetOutput(), "timed out after 100ms") {
		t.Errorf("output %q", harmless.result.GetOutput())
	}

	serious := tools.execute("d2", "puppet_effect", `{"wait":10000}`)
	wantOutcome(t, serious, unknown)

	if house.store.row("d2").result != nil {
		t.Error("an unknown outcome was recorded")
	}

	if house.effectLines() != 0 {
		t.Error("the server was not told to cancel")
	}
}
