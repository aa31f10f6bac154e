package ambassador

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tidwall/gjson"
)

// completion is a chat.completion, as far as the Messages API can fill one.
type completion struct {
	ID      string             `json:"id"`
	Object  string             `json:"object"`
	Created int64              `json:"created"`
	Model   string             `json:"model"`
	Choices []completionChoice `json:"choices"`
	Usage   json.RawMessage    `json:"usage"`
}

type completionChoice struct {
	Index        int               `json:"index"`
	Message      completionMessage `json:"message"`
	FinishReason string            `json:"finish_reason"`
	StopSequence string            `json:"stop_sequence,omitempty"`
}

type completionMessage struct {
	Role             string            `json:"role"`
	Content          *string           `json:"content"`
	Refusal          *string           `json:"refusal"`
	ReasoningContent string            `json:"reasoning_content,omitempty"`
	ThinkingBlocks   []json.RawMessage `json:"thinking_blocks,omitempty"`
	ToolCalls        []completionCall  `json:"tool_calls,omitempty"`
}

type completionCall struct {
	ID       string             `json:"id"`
	Type     string             `json:"type"`
	Function completionFunction `json:"function"`
}

type completionFunction struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

var errNoMessage = errors.New("the provider's answer is not a message")

// completionOf translates a whole answer. An error object stays one, for the caller to judge.
func completionOf(body []byte, now time.Time) ([]byte, error) {
	root := gjson.ParseBytes(body)

	switch {
	case !gjson.ValidBytes(body):
		return nil, errors.New("the provider's answer is not valid JSON")
	case root.Get("type").String() == "error":
		return body, nil
	case !root.Get("content").IsArray() || root.Get("stop_reason").Type != gjson.String:
		return nil, errNoMessage
	}

	choice := completionChoice{
		Message: gatherBlocks(root.Get("content").Array()), FinishReason: finishReason(root.Get("stop_reason").Str),
		StopSequence: root.Get("stop_sequence").String(),
	}

	made, err := json.Marshal(completion{
		ID: root.Get("id").String(), Object: "chat.completion", Created: now.Unix(), Model: root.Get("model").String(),
		Choices: []completionChoice{choice}, Usage: readAnthropicUsage(usage{}, root.Get("usage")).raw(),
	})
	if err != nil {
		return nil, fmt.Errorf("translate the answer: %w", err)
	}

	return made, nil
}

// gatherBlocks makes one message of an answer's blocks.
func gatherBlocks(blocks []gjson.Result) completionMessage {
	message, text, written := completionMessage{Role: speakerAssistant}, "", false

	for _, part := range blocks {
		switch part.Get("type").String() {
		case "text":
			text, written = text+part.Get("text").String(), true
		case "thinking":
			message.ReasoningContent += part.Get("thinking").String()
			message.ThinkingBlocks = append(message.ThinkingBlocks, json.RawMessage(part.Raw))
		case "redacted_thinking":
			message.ThinkingBlocks = append(message.ThinkingBlocks, json.RawMessage(part.Raw))
		case "tool_use":
			arguments := part.Get("input").Raw
			if arguments == "" {
				arguments = "{}"
			}

			message.ToolCalls = append(message.ToolCalls, completionCall{
				ID: part.Get("id").String(), Type: "function",
				Function: completionFunction{Name: part.Get("name").String(), Arguments: arguments},
			})
		}
	}

	if written || len(message.ToolCalls) == 0 {
		message.Content = &text
	}

	return message
}

// finishReason is a stop_reason in OpenAI's words.
func finishReason(reason string) string {
	switch reason {
	case "tool_use":
		return "tool_calls"
	case "max_tokens", "model_context_window_exceeded":
		return "length"
	case "refusal":
		return "content_filter"
	default: // end_turn, stop_sequence, pause_turn
		return "stop"
	}
}

// readAnthropicUsage adds what an object says to what was said before: message_start and message_delta each have a part,
// and their numbers only grow. Anthropic counts cached tokens beside the input; OpenAI, and the ambassador, inside.
func readAnthropicUsage(before usage, value gjson.Result) usage {
	if !value.IsObject() {
		return before
	}

	before.fresh = max(before.fresh, count(value, "input_tokens"))
	before.cached = max(before.cached, count(value, "cache_read_input_tokens"))
	before.written = max(before.written, count(value, "cache_creation_input_tokens"))
	before.longer = max(before.longer, count(value, "cache_creation.ephemeral_1h_input_tokens"))
	before.completion = max(before.completion, count(value, "output_tokens"))
	before.reasoning = max(before.reasoning, count(value, "output_tokens_details.thinking_tokens"))
	before.prompt = before.fresh + before.cached + before.written
	before.known = true

	return before
}
