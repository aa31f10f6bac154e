package agent

import (
	"encoding/json"

	"go.opentelemetry.io/otel/trace"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/telemetry"
)

// spoken is a message in the form of the GenAI conventions.
type spoken struct {
	Role         string `json:"role"`
	Parts        []part `json:"parts"`
	FinishReason string `json:"finish_reason,omitempty"`
}

// part is a text, a call of a tool, or what a tool answered.
type part struct {
	Type      string          `json:"type"`
	Content   string          `json:"content,omitempty"`
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
	Response  string          `json:"response,omitempty"`
}

// discloseChat writes what was said to the model, and what it answered, on the span. It is called only where whoever runs
// the platform asked for it.
func discloseChat(span trace.Span, request modelRequest, answer *answer) {
	input := make([]spoken, len(request.prompt))
	for i, said := range request.prompt {
		input[i] = spokenOf(said)
	}

	span.SetAttributes(
		telemetry.SystemInstructions.String(asJSON([]part{{Type: "text", Content: request.system}})),
		telemetry.InputMessages.String(asJSON(input)),
	)

	if answer == nil {
		return
	}

	output := spoken{Role: roleAssistant, FinishReason: answer.finish, Parts: []part{{Type: "text", Content: answer.text}}}
	for _, call := range answer.calls {
		output.Parts = append(output.Parts, partOf(call))
	}

	span.SetAttributes(telemetry.OutputMessages.String(asJSON([]spoken{output})))
}

func spokenOf(said chat) spoken {
	if said.Role == roleTool {
		return spoken{Role: said.Role, Parts: []part{{Type: "tool_call_response", ID: said.CallID, Response: said.Text}}}
	}

	message := spoken{Role: said.Role, Parts: []part{{Type: "text", Content: said.Text}}}
	for _, call := range said.Calls {
		message.Parts = append(message.Parts, partOf(&eventv1.ToolCall{CallId: call.ID, Tool: call.Tool, Arguments: call.Arguments}))
	}

	return message
}

func partOf(call *eventv1.ToolCall) part {
	arguments := json.RawMessage(call.GetArguments())
	if !json.Valid(arguments) { // models make mistakes
		arguments = json.RawMessage(asJSON(call.GetArguments()))
	}

	return part{Type: "tool_call", ID: call.GetCallId(), Name: call.GetTool(), Arguments: arguments}
}

func asJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil { // there is nothing in it that can't be
		return ""
	}

	return string(text)
}
