package agent

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// script writes a log in a few words per event; the transcripts under testdata use it. Each event is a line:
//
//	user TEXT [steps=N] [tokens=N] [hops=N]      a turn begins
//	segment AGENT                                 an agent's part begins
//	step [N]                                      a model call begins, reserving N tokens (default 100)
//	says TEXT [call TOOL ARGUMENTS]...            the model's message: 10 tokens in, 5 out
//	cut TEXT [call TOOL ARGUMENTS]...             the same, ended by the limit of tokens
//	withheld TEXT [call TOOL ARGUMENTS]...        the same, ended by the provider's content filter
//	started TOOL                                  the call of the last message was claimed
//	result TOOL OUTCOME TEXT                      what the call of the last message came to
//	asked TOOL approval|outcome                   a human is asked
//	decided TOOL approve|reject|happened|did_not_happen [COMMENT]
//	waiting, resumed, restarted, completed, failed, cancelled
//	handoff AGENT [full|last=N|no-tools|summary]  control passes on, for the call of handoff_to_AGENT
//	cancel BY                                     someone asks to end the turn
//	guardrail RULE                                an input guardrail stops the turn's message
type script struct {
	t        testing.TB
	sequence int64
	turns    int
	turnID   string
	text     string
	agent    string
	segment  int32
	step     int32
	calls    []*eventv1.ToolCall
	// bill is what the next message costs, in millionths of a US dollar; nil if nobody knows.
	bill *int64
}

func (s *script) events(lines string) []*eventv1.Event {
	s.t.Helper()

	var events []*eventv1.Event

	for line := range strings.SplitSeq(lines, "\n") {
		if words := split(s.t, line); len(words) > 0 && words[0] == "bill" {
			cost := number(s.t, words[1])
			s.bill = &cost
		} else if len(words) > 0 {
			events = append(events, s.event(words[0], words[1:]))
		}
	}

	return events
}

func (s *script) event(verb string, words []string) *eventv1.Event {
	s.t.Helper()

	kind := &eventv1.Event{}

	switch verb {
	case "user":
		s.turns++
		s.turnID, s.text, s.segment, s.step = fmt.Sprintf("t%d", s.turns), words[0], 0, 0
		kind.Kind = &eventv1.Event_TurnAccepted{TurnAccepted: &eventv1.TurnAccepted{Text: words[0], Budget: budgetOf(s.t, words[1:])}}
	case "segment":
		s.segment++
		s.agent, s.step = words[0], 0
		kind.Kind = &eventv1.Event_SegmentStarted{SegmentStarted: &eventv1.SegmentStarted{Agent: s.agent}}
	case "restarted":
		kind.Kind = &eventv1.Event_SegmentRestarted{SegmentRestarted: &eventv1.SegmentRestarted{Agent: s.agent}}
	case "resumed":
		kind.Kind = &eventv1.Event_SegmentResumed{SegmentResumed: &eventv1.SegmentResumed{Agent: s.agent}}
	case "step":
		s.step++
		reserved := int64(100)
		if len(words) > 0 {
			reserved = number(s.t, words[0])
		}
		cost := int64(0)
		if len(words) > 1 {
			cost = number(s.t, words[1])
		}
		kind.Kind = &eventv1.Event_StepStarted{StepStarted: &eventv1.StepStarted{ReservedTokens: reserved, ReservedCostMicros: cost}}
	case "again":
		kind.Kind = &eventv1.Event_StepStarted{StepStarted: &eventv1.StepStarted{ReservedTokens: 100}}
	case "says":
		kind.Kind = s.says("", words)
	case "cut":
		kind.Kind = s.says(finishLength, words)
	case "withheld":
		kind.Kind = s.says(finishFilter, words)
	default:
		s.late(kind, verb, words)
	}

	s.sequence++
	kind.Sequence, kind.TurnId, kind.Agent, kind.Segment, kind.Step = s.sequence, s.turnID, s.agent, s.segment, s.step
	kind.Time = timestamppb.New(time.Unix(1_700_000_000+s.sequence, 0))

	return kind
}

func (s *script) late(event *eventv1.Event, verb string, words []string) {
	s.t.Helper()

	switch verb {
	case "started":
		event.Kind = &eventv1.Event_ToolStarted{ToolStarted: &eventv1.ToolStarted{CallId: s.callID(words[0]), Tool: words[0]}}
	case "result":
		event.Kind = &eventv1.Event_ToolResult{ToolResult: &eventv1.ToolResult{
			CallId: s.callID(words[0]), Tool: words[0], Output: words[2],
			Outcome: eventv1.ToolResult_Outcome(eventv1.ToolResult_Outcome_value["OUTCOME_"+strings.ToUpper(words[1])]),
		}}
	case "asked":
		event.Kind = &eventv1.Event_InputRequested{InputRequested: &eventv1.InputRequested{
			CallId: s.callID(words[0]),
			Kind:   eventv1.InputRequested_Kind(eventv1.InputRequested_Kind_value["KIND_"+strings.ToUpper(words[1])]),
		}}
	case "decided":
		event.Kind = &eventv1.Event_InputResolved{InputResolved: &eventv1.InputResolved{
			CallId:   s.callID(words[0]),
			Decision: eventv1.Decision(eventv1.Decision_value["DECISION_"+strings.ToUpper(words[1])]),
			Comment:  strings.Join(words[2:], " "),
		}}
	case "waiting":
		event.Kind = &eventv1.Event_TurnWaiting{TurnWaiting: &eventv1.TurnWaiting{}}
	case "handoff":
		event.Kind = s.handoff(words)
	case "cancel":
		event.Kind = &eventv1.Event_CancelRequested{CancelRequested: &eventv1.CancelRequested{By: words[0]}}
	case "guardrail":
		event.Kind = &eventv1.Event_GuardrailTriggered{GuardrailTriggered: &eventv1.GuardrailTriggered{
			Rule: words[0], Direction: eventv1.GuardrailTriggered_DIRECTION_INPUT,
		}}
	case "completed":
		event.Kind = &eventv1.Event_TurnCompleted{TurnCompleted: &eventv1.TurnCompleted{}}
	case "failed":
		event.Kind = &eventv1.Event_TurnFailed{TurnFailed: &eventv1.TurnFailed{}}
	case "cancelled":
		event.Kind = &eventv1.Event_TurnCancelled{TurnCancelled: &eventv1.TurnCancelled{}}
	default:
		s.t.Fatalf("no event %q", verb)
	}
}

func (s *script) says(finish string, words []string) *eventv1.Event_AgentMessage {
	bill := s.bill
	s.calls, s.bill = nil, nil

	for i := 1; i+2 < len(words); i += 3 {
		s.calls = append(s.calls, &eventv1.ToolCall{
			CallId: fmt.Sprintf("%s-%d-%d-%d", s.turnID, s.segment, s.step, len(s.calls)+1), Tool: words[i+1], Arguments: words[i+2],
		})
	}

	return &eventv1.Event_AgentMessage{AgentMessage: &eventv1.AgentMessage{
		Text: words[0], ToolCalls: s.calls, FinishReason: finish, Usage: &eventv1.Usage{InputTokens: 10, OutputTokens: 5, CostMicros: bill},
	}}
}

func (s *script) handoff(words []string) *eventv1.Event_Handoff {
	handoff := &eventv1.Handoff{FromAgent: s.agent, ToAgent: words[0], CallId: s.callID(handoffPrefix + words[0])}

	var wish wish
	for _, call := range s.calls {
		if call.GetCallId() == handoff.GetCallId() {
			_ = json.Unmarshal([]byte(call.GetArguments()), &wish)
		}
	}

	handoff.Reason, handoff.Summary = wish.Reason, wish.Summary
	handoff.TaskDigest = taskDigest(words[0], wish.Reason, s.text)

	filter := &eventv1.HistoryFilter{Mode: eventv1.HistoryFilter_MODE_FULL}

	if len(words) > 1 {
		mode, last, _ := strings.Cut(words[1], "=")
		switch mode {
		case "last":
			filter = &eventv1.HistoryFilter{Mode: eventv1.HistoryFilter_MODE_LAST_N, LastN: int32(number(s.t, last))}
		case "no-tools":
			filter.Mode = eventv1.HistoryFilter_MODE_NO_TOOLS
		case "summary":
			filter.Mode = eventv1.HistoryFilter_MODE_SUMMARY
		}
	}

	handoff.History = filter

	return &eventv1.Event_Handoff{Handoff: handoff}
}

// callID finds the last message's call by its tool; the second call of a tool is tool#2.
func (s *script) callID(name string) string {
	s.t.Helper()

	name, ordinal, _ := strings.Cut(name, "#")
	nth := 1
	if ordinal != "" {
		nth = int(number(s.t, ordinal))
	}

	for _, call := range s.calls {
		if call.GetTool() == name {
			if nth--; nth == 0 {
				return call.GetCallId()
			}
		}
	}

	s.t.Fatalf("the last message calls no %s", name)

	return ""
}

func budgetOf(t testing.TB, words []string) *eventv1.Budget {
	t.Helper()

	budget := &eventv1.Budget{}

	for _, word := range words {
		kind, value, _ := strings.Cut(word, "=")
		switch kind {
		case "steps":
			budget.Steps = int32(number(t, value))
		case "tokens":
			budget.Tokens = number(t, value)
		case "cost":
			budget.CostMicros = number(t, value)
		case "hops":
			budget.Hops = int32(number(t, value))
		}
	}

	return budget
}

func number(t testing.TB, text string) int64 {
	t.Helper()

	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}

	return value
}

// split cuts a line into words; quotes keep a text together, and so does a JSON object.
func split(t testing.TB, line string) []string {
	t.Helper()

	var words []string

	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimSpace(rest) {
		switch rest[0] {
		case '#':
			return words
		case '"':
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}

			word, _ := strconv.Unquote(quoted)
			words, rest = append(words, word), rest[len(quoted):]
		case '{':
			decoder := json.NewDecoder(strings.NewReader(rest))

			var object json.RawMessage
			if err := decoder.Decode(&object); err != nil {
				t.Fatalf("%s: %v", line, err)
			}

			words, rest = append(words, string(object)), rest[decoder.InputOffset():]
		default:
			word, after, _ := strings.Cut(rest, " ")
			words, rest = append(words, word), after
		}
	}

	return words
}
