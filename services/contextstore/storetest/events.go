package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// kindOf names an event's kind as the proto does.
func kindOf(event *eventv1.Event) string {
	reflected := event.ProtoReflect()

	return string(nameOf(reflected.WhichOneof(reflected.Descriptor().Oneofs().ByName("kind"))))
}

func nameOf(field protoreflect.FieldDescriptor) protoreflect.Name {
	if field == nil {
		return "none"
	}

	return field.Name()
}

func part(text string) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_MessagePart{MessagePart: &eventv1.MessagePart{MessageId: "m", Text: text}}}
}

func stepStarted(step int32, tokens int64) *eventv1.Event {
	return &eventv1.Event{Step: step, Kind: &eventv1.Event_StepStarted{
		StepStarted: &eventv1.StepStarted{ReservedTokens: tokens},
	}}
}

// message is an agent's message that asks for calls, given as id or id:tool.
func message(step int32, used int64, calls ...string) *eventv1.Event {
	said := &eventv1.AgentMessage{MessageId: "m", Text: "hi", Usage: &eventv1.Usage{InputTokens: used}}

	for _, call := range calls {
		id, tool, named := strings.Cut(call, ":")
		if !named {
			tool = refundTool
		}

		said.ToolCalls = append(said.ToolCalls, &eventv1.ToolCall{CallId: id, Tool: tool, Arguments: arguments})
	}

	return &eventv1.Event{Step: step, Kind: &eventv1.Event_AgentMessage{AgentMessage: said}}
}

const arguments = `{"invoice":"F-7"}`

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))

	return hex.EncodeToString(sum[:])
}

func result(callID string, outcome eventv1.ToolResult_Outcome) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_ToolResult{
		ToolResult: &eventv1.ToolResult{CallId: callID, Tool: refundTool, Outcome: outcome, Output: "done"},
	}}
}

func asked(callID string, kind eventv1.InputRequested_Kind) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_InputRequested{
		InputRequested: &eventv1.InputRequested{CallId: callID, Kind: kind},
	}}
}

func answered(callID string, decision eventv1.Decision) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_InputResolved{
		InputResolved: &eventv1.InputResolved{CallId: callID, Decision: decision, By: ada},
	}}
}

func waiting(callIDs ...string) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_TurnWaiting{TurnWaiting: &eventv1.TurnWaiting{CallIds: callIDs}}}
}

func handoff(from, to string, remaining *eventv1.Budget) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_Handoff{Handoff: &eventv1.Handoff{
		FromAgent: from, ToAgent: to, TaskDigest: "task", Remaining: remaining,
	}}}
}

func cancelled(by string) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_CancelRequested{
		CancelRequested: &eventv1.CancelRequested{By: by, Reason: "changed my mind"},
	}}
}

func completed() *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_TurnCompleted{TurnCompleted: &eventv1.TurnCompleted{Text: "hi"}}}
}

func failed(reason string) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_TurnFailed{TurnFailed: &eventv1.TurnFailed{Reason: reason}}}
}

func turnCancelled() *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_TurnCancelled{TurnCancelled: &eventv1.TurnCancelled{By: ada}}}
}

func feedback(turnID string) *eventv1.Event {
	return &eventv1.Event{TurnId: turnID, Kind: &eventv1.Event_FeedbackGiven{
		FeedbackGiven: &eventv1.FeedbackGiven{Rating: eventv1.FeedbackGiven_RATING_UP},
	}}
}

func guardrail() *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_GuardrailTriggered{GuardrailTriggered: &eventv1.GuardrailTriggered{
		Rule: "no-numbers", Direction: eventv1.GuardrailTriggered_DIRECTION_OUTPUT,
	}}}
}

// applied is a guardrail that used tokens, if any.
func applied(action eventv1.GuardrailApplied_Action, step int32, tokens int64) *eventv1.Event {
	applied := &eventv1.GuardrailApplied{Rule: "no-advice", Direction: eventv1.GuardrailTriggered_DIRECTION_OUTPUT, Action: action}
	if tokens > 0 {
		applied.Usage = &eventv1.Usage{InputTokens: tokens}
	}

	return &eventv1.Event{Step: step, Kind: &eventv1.Event_GuardrailApplied{GuardrailApplied: applied}}
}

func delta(text string) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_TextDelta{TextDelta: &eventv1.TextDelta{MessageId: "m", Text: text}}}
}

func progress() *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_ToolProgress{ToolProgress: &eventv1.ToolProgress{CallId: "c"}}}
}
