package agent

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/telemetry"
)

// orphan returns a call of a prompt that is not followed by its result in order; empty if there is none.
func orphan(prompt []chat) string {
	var open []string

	for _, chat := range prompt {
		switch {
		case chat.Role == roleTool && (len(open) == 0 || open[0] != chat.CallID):
			return chat.CallID
		case chat.Role == roleTool:
			open = open[1:]
		case len(open) > 0:
			return open[0]
		}

		for _, call := range chat.Calls {
			open = append(open, call.ID)
		}
	}

	return strings.Join(open, " ")
}

// FuzzCheckpoint reads checkpoints that other releases, or a broken disk, may have left.
func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte(`{"history":[{"text":"Hi"},{"agent":"a","calls":[{"id":"c","tool":"x","arguments":"{}"}]}]}`))
	f.Add([]byte(`{"history":[{"text":"Hi"}],"arrivals":{"a":{"from":"b","mode":2,"lastN":-7,"user":-1,"handing":-9}}}`))
	f.Add([]byte(`{"history":null,"arrivals":{"a":{"mode":3,"handing":99,"user":0}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		read := decode(&contextv1.Checkpoint{Sequence: 1, Format: checkpointFormat, Data: data})
		if read == nil {
			return
		}

		for agent := range read.arrivals {
			if id := orphan(read.prompt(agent)); id != "" {
				t.Errorf("call %s has no result", id)
			}
		}

		written, err := read.encode()
		if err != nil {
			t.Fatal(err)
		}

		if again := decode(written); again == nil || digest(again.prompt("")) != digest(read.prompt("")) {
			t.Error("the checkpoint reads differently once it was written again")
		}
	})
}

// FuzzFold folds any order of events: what decides must never fail, no prompt may have a call without a result, and a
// checkpoint between turns must stand for the log before it.
func FuzzFold(f *testing.F) {
	f.Add([]byte("abcdefghijklm"))
	f.Add([]byte("absmrshrabspqr"))
	f.Fuzz(func(t *testing.T, data []byte) {
		spec := agentspec.Agent{Metadata: agentspec.Metadata{Name: "billing"}}
		spec.Spec.Handoffs = []agentspec.Handoff{{Agent: "triage", History: "last", LastN: 1}}
		spec.Spec.Guardrails.Input = advice(nil)
		spec.Spec.Guardrails.Redaction = &agentspec.Redaction{Kinds: []string{"email"}}

		rules, err := newRules(spec, nil)
		if err != nil {
			t.Fatal(err)
		}

		rules.tools = toolset{tools: []tool{{name: "lookup"}, {name: "refund", approval: true}}}
		whole, resumed := newState(), newState()

		for i, letter := range data[:min(len(data), 200)] {
			event := anyEvent(i, letter)
			if event.GetTurnAccepted() != nil {
				resumed = roundTrip(t, resumed)
			}

			whole.apply(event)
			resumed.apply(event)

			if next, ok := decide(whole, rules).(callModel); ok && orphan(next.prompt) != "" {
				t.Errorf("call %s has no result", orphan(next.prompt))
			}

			if got, want := describeAction(decide(resumed, rules)), describeAction(decide(whole, rules)); got != want {
				t.Fatalf("from a checkpoint: %s, from the log: %s", got, want)
			}
		}
	})
}

func roundTrip(t *testing.T, s *state) *state {
	t.Helper()

	written, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}

	return decode(written)
}

// anyEvent makes an event out of its place in the log and a letter.
func anyEvent(i int, letter byte) *eventv1.Event {
	id := fmt.Sprintf("c%d", int(letter)%7)
	tool := []string{"lookup", "refund", "nosuch", "handoff_to_triage"}[int(letter)%4]
	event := &eventv1.Event{Sequence: int64(i + 1), TurnId: "t", Agent: "billing", Segment: 1, Step: int32(letter % 3)}

	switch letter % 14 {
	case 0, 1:
		event.Kind = &eventv1.Event_TurnAccepted{TurnAccepted: &eventv1.TurnAccepted{Text: "Hi"}}
	case 2:
		event.Kind = &eventv1.Event_SegmentStarted{SegmentStarted: &eventv1.SegmentStarted{Agent: "billing"}}
	case 3:
		event.Kind = &eventv1.Event_StepStarted{StepStarted: &eventv1.StepStarted{ReservedTokens: 10}}
	case 4, 5:
		event.Kind = &eventv1.Event_AgentMessage{AgentMessage: &eventv1.AgentMessage{
			Text: id, ToolCalls: []*eventv1.ToolCall{{CallId: fmt.Sprintf("c%d", i), Tool: tool, Arguments: "{}"}},
		}}
	case 6, 7:
		event.Kind = &eventv1.Event_ToolResult{ToolResult: &eventv1.ToolResult{CallId: fmt.Sprintf("c%d", i-1), Output: "x"}}
	case 8:
		event.Kind = &eventv1.Event_InputRequested{InputRequested: &eventv1.InputRequested{
			CallId: fmt.Sprintf("c%d", i-1), Kind: eventv1.InputRequested_Kind(letter % 3),
		}}
	case 9:
		event.Kind = &eventv1.Event_InputResolved{InputResolved: &eventv1.InputResolved{
			CallId: fmt.Sprintf("c%d", i-2), Decision: eventv1.Decision(letter % 5),
		}}
	case 10:
		event.Kind = &eventv1.Event_Handoff{Handoff: &eventv1.Handoff{
			FromAgent: "triage", ToAgent: "billing", CallId: fmt.Sprintf("c%d", i-1),
			History: &eventv1.HistoryFilter{Mode: eventv1.HistoryFilter_Mode(letter % 5), LastN: int32(letter % 4)},
		}}
	case 11:
		event.Kind = &eventv1.Event_GuardrailTriggered{GuardrailTriggered: &eventv1.GuardrailTriggered{
			Direction: eventv1.GuardrailTriggered_DIRECTION_INPUT,
		}}
	case 12:
		event.Kind = &eventv1.Event_GuardrailApplied{GuardrailApplied: &eventv1.GuardrailApplied{
			Rule: "no-advice", Direction: eventv1.GuardrailTriggered_Direction(1 + letter%2), Action: eventv1.GuardrailApplied_Action(1 + letter%4),
			Hits: int32(letter), Usage: &eventv1.Usage{InputTokens: 3},
		}}
	default:
		event.Kind = &eventv1.Event_AgentMessage{AgentMessage: &eventv1.AgentMessage{}}
	}

	return event
}

// FuzzAnswer reads what a provider may send: an answer, or an error, and never a call that the log can't hold.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"))
	f.Add([]byte("data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":-1,\"function\":{\"name\":\"\"}}]},\"finish_reason\":\"x\"}]}\n\n"))
	f.Add([]byte("data: {\"error\":{\"message\":\"key sk-abcdefgh12345\"}}\n\n"))
	f.Add([]byte("data: {"))
	f.Fuzz(func(t *testing.T, body []byte) {
		agent := agentspec.Agent{Metadata: agentspec.Metadata{Name: "billing"}}
		agent.Spec.Model.Name = "default"

		client, err := newModelClient(Config{Agent: agent, Telemetry: telemetry.Discard(), LLM: LLM{
			BaseURL: "http://llm", HTTPClient: &http.Client{Transport: canned(body)},
		}})
		if err != nil {
			t.Fatal(err)
		}

		var shown strings.Builder

		got, err := client.call(t.Context(), modelRequest{maxOutput: 1}, func(text string) { shown.WriteString(text) })
		if err != nil {
			return
		}

		if got.text != shown.String() || got.usage == nil || len(got.calls) > maxCalls {
			t.Errorf("answer %+v, shown %q", got, shown.String())
		}

		for _, call := range got.calls {
			if call.GetTool() == "" || len(call.GetTool()) > 128 || call.GetArguments() == "" {
				t.Errorf("call %v", call)
			}
		}
	})
}

// canned answers every request with the same stream.
type canned []byte

func (c canned) RoundTrip(request *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}},
		Body: io.NopCloser(bytes.NewReader(c)), Request: request,
	}, nil
}

// FuzzGuardrails compares the search for words with a slow and simple one.
func FuzzGuardrails(f *testing.F) {
	f.Add("We sell lottery tickets", "lottery")
	f.Add("ölöl öl", "öl")
	f.Add("aaa", "aa")
	f.Fuzz(func(t *testing.T, text, word string) {
		if !utf8.ValidString(text) || !utf8.ValidString(word) || strings.ContainsRune(text+word, utf8.RuneError) {
			return
		}

		runes, wanted := []rune(text), []rune(word)
		found := false

		for at := range runes {
			end := at + len(wanted)
			if word == "" || end > len(runes) || !slices.Equal(runes[at:end], wanted) {
				continue
			}

			before := at > 0 && inWord(runes[at-1])
			after := end < len(runes) && inWord(runes[end])
			found = found || !before && !after
		}

		if got := hasWord(text, word); got != found {
			t.Errorf("hasWord(%q, %q) = %v", text, word, got)
		}
	})
}
