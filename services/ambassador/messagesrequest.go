package ambassador

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"
)

// readMessages reads a client's request in the Messages API, as far as routing needs to know it. What it asks is the
// provider's to judge.
func readMessages(body []byte, header http.Header) (*chatRequest, *apiError) {
	request, refused := readChat(body)
	if refused != nil {
		return nil, refused
	}

	request.door, request.native, request.usage = messagesDoor{}, true, true
	request.header = http.Header{}

	for _, name := range []string{"Anthropic-Version", "Anthropic-Beta"} {
		if values := header.Values(name); len(values) > 0 {
			request.header[name] = values
		}
	}

	return request, nil
}

// asked is a chat completion's request, as far as the Messages API can ask one.
type asked struct {
	Model          string          `json:"model"`
	Messages       []askedMessage  `json:"messages"`
	MaxTokens      json.RawMessage `json:"max_completion_tokens,omitempty"`
	Stop           json.RawMessage `json:"stop,omitempty"`
	Temperature    json.RawMessage `json:"temperature,omitempty"`
	TopP           json.RawMessage `json:"top_p,omitempty"`
	User           json.RawMessage `json:"user,omitempty"`
	Effort         json.RawMessage `json:"reasoning_effort,omitempty"`
	ResponseFormat map[string]any  `json:"response_format,omitempty"`
	Tools          []any           `json:"tools,omitempty"`
	ToolChoice     any             `json:"tool_choice,omitempty"`
	Parallel       *bool           `json:"parallel_tool_calls,omitempty"`
	Stream         bool            `json:"stream,omitempty"`
}

type askedMessage struct {
	Role       string           `json:"role"`
	Content    any              `json:"content"`
	ToolCalls  []completionCall `json:"tool_calls,omitempty"`
	ToolCallID string           `json:"tool_call_id,omitempty"`
}

// chat is the request as chat completions have it, for a provider that speaks nothing else.
func (r *chatRequest) chat() (*chatRequest, error) {
	if !r.native {
		return r, nil
	}

	root := gjson.ParseBytes(r.body)
	made := asked{
		Model: r.models[0], Stream: r.stream, MaxTokens: raw(root, "max_tokens"), Stop: raw(root, "stop_sequences"),
		Temperature: raw(root, "temperature"), TopP: raw(root, "top_p"), User: raw(root, "metadata.user_id"),
		Effort: raw(root, "output_config.effort"),
	}

	if schema := root.Get("output_config.format.schema"); schema.IsObject() {
		made.ResponseFormat = map[string]any{"type": "json_schema", "json_schema": map[string]any{
			"name": "answer", "schema": json.RawMessage(schema.Raw), "strict": true,
		}}
	}

	if err := made.readTools(root); err != nil {
		return nil, err
	}

	if err := made.readMessages(root); err != nil {
		return nil, err
	}

	body, err := json.Marshal(made)
	if err != nil {
		return nil, fmt.Errorf("translate the request: %w", err)
	}

	translated, refused := readChat(body)
	if refused != nil {
		return nil, &unsupported{field: "messages", message: refused.Message}
	}

	return translated, nil
}

// raw is a field as it stands, nothing if it is absent or null.
func raw(root gjson.Result, path string) json.RawMessage {
	if value := root.Get(path); value.Exists() && value.Type != gjson.Null {
		return json.RawMessage(value.Raw)
	}

	return nil
}

func (a *asked) readTools(root gjson.Result) error {
	for i, tool := range root.Get("tools").Array() {
		if kind := tool.Get("type").String(); kind != "" && kind != "custom" {
			return refuse(fmt.Sprintf("tools[%d].type", i), "%q is only possible with Anthropic's API", kind)
		}

		function := map[string]any{"name": tool.Get("name").String(), "parameters": json.RawMessage(tool.Get("input_schema").Raw)}
		if !tool.Get("input_schema").IsObject() {
			return refuse(fmt.Sprintf("tools[%d].input_schema", i), "must be an object")
		}

		if about := tool.Get("description").String(); about != "" {
			function["description"] = about
		}

		if tool.Get("strict").Bool() {
			function["strict"] = true
		}

		a.Tools = append(a.Tools, map[string]any{"type": "function", "function": function})
	}

	choice := root.Get("tool_choice")

	switch choice.Get("type").String() {
	case "auto", "none":
		a.ToolChoice = choice.Get("type").String()
	case "any":
		a.ToolChoice = "required"
	case "tool":
		a.ToolChoice = map[string]any{"type": "function", "function": map[string]any{"name": choice.Get("name").String()}}
	}

	if choice.Get("disable_parallel_tool_use").Bool() {
		single := false
		a.Parallel = &single
	}

	return nil
}

func (a *asked) readMessages(root gjson.Result) error {
	if system := textOf(root.Get("system")); system != "" {
		a.Messages = append(a.Messages, askedMessage{Role: "system", Content: system})
	}

	for i, message := range root.Get("messages").Array() {
		field := fmt.Sprintf("messages[%d]", i)

		var err error

		switch role := message.Get("role").String(); role {
		case speakerUser:
			err = a.user(field+".content", message.Get("content"))
		case speakerAssistant:
			err = a.assistant(field+".content", message.Get("content"))
		default:
			err = refuse(field+".role", "%q is not user or assistant", role)
		}

		if err != nil {
			return err
		}
	}

	return nil
}

// textOf is a text, or the texts of blocks.
func textOf(content gjson.Result) string {
	if content.Type == gjson.String {
		return content.Str
	}

	var texts []string

	for _, part := range content.Array() {
		if part.Get("type").String() == "text" {
			texts = append(texts, part.Get("text").String())
		}
	}

	return strings.Join(texts, "\n")
}
