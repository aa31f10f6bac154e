package app_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
)

var updateTraces = flag.Bool("update-traces", false, "write testdata/traces anew")

// sendMessage is the span of a request that begins a turn.
func sendMessage(one span) bool {
	return one.GetName() == "POST /v1/conversations/{conversation_id}/messages"
}

// TestTraceOfOneTurn runs a turn with a handoff and a tool call and looks at all that it made the platform do.
func TestTraceOfOneTurn(t *testing.T) {
	collector, traced := startCollector(t)
	p := startPlatform(t, traced)
	p.turn()
	p.stop() // which flushes

	got := tree(collector.traceOf(t, sendMessage))
	path := filepath.Join("testdata", "traces", "handoff-and-tool.txt")

	if *updateTraces {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the trace is another one (-update-traces writes it anew), -want +got:\n%s", diff)
	}

	for _, one := range collector.all() {
		if one.GetParentSpanId() == nil && one.GetKind() == tracev1.Span_SPAN_KIND_CLIENT {
			t.Errorf("a trace begins with an errand: %s of %s", one.GetName(), one.service)
		}

		if agent := one.resource["serin.agent"]; agent != "" && (agent != one.service || len(one.resource["serin.revision"]) != 12) {
			t.Errorf("span %s is of %v", one.GetName(), one.resource)
		}
	}
}

// sometimes are calls that depend on how long a turn takes.
var sometimes = []string{"RenewLease", "Publish", "FollowEvents", "SaveCheckpoint", "GetTurn", "ListTools"}

// shownAttributes are those whose values do not differ from run to run.
var shownAttributes = []string{
	"gen_ai.operation.name", "gen_ai.agent.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model",
	"gen_ai.response.finish_reasons", "gen_ai.tool.name", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens",
	"serin.segment", "serin.turn.outcome", "serin.tool.outcome", "serin.handoff.from", "serin.handoff.to", "serin.try",
	"http.route", "http.response.status_code", "error.type",
}

// tree writes a trace down: spans below their parents, the same ones once.
func tree(spans []span) string {
	children := map[string][]span{}

	known := map[string]bool{"": true}
	for _, one := range spans {
		known[string(one.GetSpanId())] = true
	}

	for _, one := range spans {
		parent := string(one.GetParentSpanId())
		if !known[parent] {
			parent = "lost"
		}

		children[parent] = append(children[parent], one)
	}

	var text strings.Builder

	for _, branch := range branches(children, "") {
		text.WriteString(branch)
	}

	for _, branch := range branches(children, "lost") {
		fmt.Fprintf(&text, "LOST %s", branch)
	}

	return text.String()
}

// branches are what is below a span, in the order of the text: that of time differs from run to run.
func branches(children map[string][]span, parent string) []string {
	var lines []string

	for _, one := range children[parent] {
		if slices.ContainsFunc(sometimes, func(method string) bool { return strings.HasSuffix(one.GetName(), "/"+method) }) {
			continue
		}

		below := strings.Join(branches(children, string(one.GetSpanId())), "")
		lines = append(lines, describeSpan(one)+"\n"+indent(below))
	}

	slices.Sort(lines)

	return slices.Compact(lines)
}

func describeSpan(one span) string {
	kind := strings.ToLower(strings.TrimPrefix(one.GetKind().String(), "SPAN_KIND_"))
	line := fmt.Sprintf("%s [%s, %s]", one.GetName(), one.service, kind)

	for _, key := range shownAttributes {
		value := one.attribute(key)
		if value != "" && strings.HasPrefix(key, "gen_ai.usage.") { // that there is one: prompts are edited
			value = "some"
		}

		if value != "" {
			line += fmt.Sprintf(" %s=%s", key, value)
		}
	}

	return line
}

func indent(text string) string {
	var indented strings.Builder
	for line := range strings.Lines(text) {
		indented.WriteString("  " + line)
	}

	return indented.String()
}

// TestResumedTurnHasOneTrace kills an agent in the middle of its segment.
func TestResumedTurnHasOneTrace(t *testing.T) {
	collector, traced := startCollector(t)
	p := startPlatform(t, traced)
	conversation := p.newConversation()

	p.crashAt("billing Append before 2")

	turn := p.send(conversation, listInvoices)
	if !p.crashed() {
		t.Fatal("billing did not die")
	}

	p.stop()

	spans := collector.traceOf(t, sendMessage)
	segments := slices.DeleteFunc(spans, func(one span) bool {
		return one.GetName() != "invoke_agent billing" || one.attribute("serin.turn.id") != turn.GetTurnId()
	})

	// The first one died with its process.
	if len(segments) != 1 || segments[0].attribute("serin.turn.outcome") != "completed" || segments[0].attribute("serin.epoch") <= "2" {
		t.Errorf("the segments in the turn's trace: %v", segments)
	}

	if elsewhere := collector.having(named("invoke_agent billing")); len(elsewhere) != len(segments) {
		t.Errorf("%d of %d segments are in the turn's trace", len(segments), len(elsewhere))
	}
}
