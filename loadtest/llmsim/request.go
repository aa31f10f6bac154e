package llmsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// chatRequest is what the simulation reads of a chat-completions request.
type chatRequest struct {
	Model         string          `json:"model"`
	Messages      []message       `json:"messages"`
	Tools         []tool          `json:"tools"`
	ToolChoice    json.RawMessage `json:"tool_choice"`
	Parallel      *bool           `json:"parallel_tool_calls"`
	Stream        bool            `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	MaxTokens           int    `json:"max_tokens"`
	MaxCompletionTokens int    `json:"max_completion_tokens"`
	User                string `json:"user"`
	Seed                int64  `json:"seed"`
	ResponseFormat      struct {
		Type       string `json:"type"`
		JSONSchema struct {
			Schema map[string]any `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`
}

type message struct {
	Role       string `json:"role"`
	Content    text   `json:"content"`
	ToolCalls  []call `json:"tool_calls,omitempty"`
	ToolCallID string `json:"tool_call_id,omitempty"`
}

type tool struct {
	Function function `json:"function"`
}

type function struct {
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Parameters  map[string]any `json:"parameters"`
}

// call is a tool call, in requests and in answers.
type call struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// text is a message's content: a string, or parts of which the texts count.
type text string

// UnmarshalJSON accepts null, a string, and an array of parts.
func (t *text) UnmarshalJSON(data []byte) error {
	var plain *string
	if json.Unmarshal(data, &plain) == nil {
		if plain != nil {
			*t = text(*plain)
		}

		return nil
	}

	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(data, &parts) != nil {
		return errors.New("content must be a string or an array of parts")
	}

	texts := make([]string, 0, len(parts))
	for _, part := range parts {
		texts = append(texts, part.Text)
	}

	*t = text(strings.Join(texts, "\n"))

	return nil
}

func readChat(body []byte) (*chatRequest, error) {
	chat := &chatRequest{}
	if err := json.Unmarshal(body, chat); err != nil {
		return nil, fmt.Errorf("the body is not a chat completions request: %w", err)
	}

	if len(chat.Messages) == 0 {
		return nil, errors.New("messages must be an array with at least one message")
	}

	return chat, nil
}

// system is the whole system prompt.
func (c *chatRequest) system() string {
	prompts := []string{}

	for _, message := range c.Messages {
		if message.Role == "system" || message.Role == "developer" {
			prompts = append(prompts, string(message.Content))
		}
	}

	return strings.Join(prompts, "\n")
}

// limit is the most tokens of an answer; 0 if there is none.
func (c *chatRequest) limit() int { return max(c.MaxTokens, c.MaxCompletionTokens) }

// choice reads tool_choice: auto, none, required, or the name of a function.
func (c *chatRequest) choice() (mode, name string) {
	if json.Unmarshal(c.ToolChoice, &mode) == nil && mode != "" {
		return mode, ""
	}

	var named struct {
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if json.Unmarshal(c.ToolChoice, &named) == nil && named.Function.Name != "" {
		return "function", named.Function.Name
	}

	return "auto", ""
}
