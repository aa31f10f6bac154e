package ambassador

import (
	"encoding/json"
	"fmt"

	"github.com/tidwall/gjson"
)

// messagesAnswer is a whole answer of the Messages API.
type messagesAnswer struct {
	ID           string          `json:"id"`
	Type         string          `json:"type"`
	Role         string          `json:"role"`
	Model        string          `json:"model"`
	Content      []any           `json:"content"`
	StopReason   *string         `json:"stop_reason"`
	StopSequence *string         `json:"stop_sequence"`
	Usage        json.RawMessage `json:"usage"`
	Serin        json.RawMessage `json:"serin,omitempty"`
}

// textBlock has a text even where it is empty, unlike [block].
type textBlock struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// messageOf translates a chat.completion.
func messageOf(completion []byte) ([]byte, error) {
	root := gjson.ParseBytes(completion)
	message := root.Get("choices.0.message")
	reason := stopReason(root.Get("choices.0.finish_reason").String())
	made := messagesAnswer{
		ID: root.Get("id").String(), Type: "message", Role: speakerAssistant, Model: root.Get("model").String(),
		Content: []any{}, StopReason: &reason, Usage: readUsage(root.Get("usage")).messages(),
		Serin: json.RawMessage(root.Get("serin").Raw),
	}

	if text := message.Get("content").String() + message.Get("refusal").String(); text != "" {
		made.Content = append(made.Content, textBlock{Type: "text", Text: text})
	}

	for i, call := range message.Get("tool_calls").Array() {
		input := call.Get("function.arguments").String()
		if input == "" {
			input = "{}"
		}

		if !gjson.Valid(input) {
			return nil, fmt.Errorf("the arguments of tool call %d are not JSON", i)
		}

		made.Content = append(made.Content, block{
			Type: "tool_use", ID: call.Get("id").String(), Name: call.Get("function.name").String(), Input: json.RawMessage(input),
		})
	}

	encoded, err := json.Marshal(made)
	if err != nil {
		return nil, fmt.Errorf("translate the answer: %w", err)
	}

	return encoded, nil
}

// stopReason is a finish_reason in Anthropic's words.
func stopReason(reason string) string {
	switch reason {
	case "tool_calls", "function_call":
		return "tool_use"
	case "length":
		return "max_tokens"
	case "content_filter":
		return "refusal"
	default:
		return "end_turn"
	}
}

// messages is the usage as the Messages API has it: cached tokens beside the input.
func (u usage) messages() []byte {
	return fmt.Appendf(nil,
		`{"input_tokens":%d,"cache_read_input_tokens":%d,"cache_creation_input_tokens":%d,"output_tokens":%d}`,
		max(0, u.prompt-u.cached-u.written), u.cached, u.written, u.completion)
}
