package ambassador

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/tidwall/gjson"
)

// messages is the body of a request to the Messages API.
type messages struct {
	Model         string                     `json:"model"`
	MaxTokens     int64                      `json:"max_tokens"`
	System        []block                    `json:"system,omitempty"`
	Messages      []spoken                   `json:"messages"`
	Tools         []anthropicTool            `json:"tools,omitempty"`
	ToolChoice    *toolChoice                `json:"tool_choice,omitempty"`
	StopSequences []string                   `json:"stop_sequences,omitempty"`
	Temperature   *float64                   `json:"temperature,omitempty"`
	TopP          *float64                   `json:"top_p,omitempty"`
	Metadata      map[string]string          `json:"metadata,omitempty"`
	OutputConfig  map[string]json.RawMessage `json:"output_config,omitempty"`
	Stream        bool                       `json:"stream,omitempty"`

	// own are fields of the Messages API that the client set itself.
	own map[string]json.RawMessage
	// single: at most one tool call per answer.
	single bool
}

// unsupported says what a provider's API can't express. Another provider may answer.
type unsupported struct{ field, message string }

// Error returns the message with the field, if it is one that is meant.
func (u *unsupported) Error() string {
	if u.field == "" {
		return u.message
	}

	return u.field + ": " + u.message
}

func refuse(field, format string, args ...any) error {
	return &unsupported{field: field, message: fmt.Sprintf(format, args...)}
}

// How a field of chat completions is treated. Those that change what kind of answer comes are translated or refused;
// those that only tune it, and all unknown ones, are left out and named in the header serin-ignored.
var translated = map[string]func(*messages, gjson.Result) error{
	"messages":              (*messages).readMessages,
	"tools":                 (*messages).readTools,
	"tool_choice":           (*messages).readToolChoice,
	"parallel_tool_calls":   (*messages).readParallel,
	"max_tokens":            (*messages).readMaxTokens,
	"max_completion_tokens": (*messages).readMaxTokens,
	"stop":                  (*messages).readStop,
	"temperature":           (*messages).readTemperature,
	"top_p":                 (*messages).readTopP,
	"user":                  (*messages).readUser,
	"safety_identifier":     (*messages).readUser,
	"reasoning_effort":      (*messages).readEffort,
	"response_format":       (*messages).readFormat,
	"output_config":         (*messages).readOutputConfig,
	"n":                     only("1"),
	"logprobs":              only("false"),
	"modalities":            only(`["text"]`),
	"audio":                 only("null"),
	"functions":             only("[]"),
	"function_call":         only("null"),
	"web_search_options":    only("null"),
}

// own are fields of the Messages API that chat completions do not have: they are passed on as they are.
var own = map[string]bool{
	"thinking": true, "top_k": true, "cache_control": true, "context_management": true, "container": true,
	"mcp_servers": true, "inference_geo": true,
}

// routing are fields that the ambassador itself reads.
var routing = map[string]bool{"model": true, "models": true, "stream": true, "stream_options": true}

// only refuses a field unless it says what goes without saying.
func only(neutral string) func(*messages, gjson.Result) error {
	return func(_ *messages, value gjson.Result) error {
		if value.Raw == neutral {
			return nil
		}

		return refuse("", "only %s is possible with Anthropic's API", neutral)
	}
}

// messagesBody translates a chat completion's request.
func messagesBody(chat *chatRequest, model string) ([]byte, error) {
	made := &messages{
		Model: model, Stream: chat.stream, own: map[string]json.RawMessage{}, OutputConfig: map[string]json.RawMessage{},
	}

	var failed error

	gjson.ParseBytes(chat.body).ForEach(func(key, value gjson.Result) bool {
		failed = made.read(key.String(), value)

		return failed == nil
	})

	if failed != nil {
		return nil, failed
	}

	return made.body()
}

func (m *messages) read(name string, value gjson.Result) error {
	if own[name] {
		m.own[name] = json.RawMessage(value.Raw)

		return nil
	}

	read := translated[name]
	if read == nil || value.Type == gjson.Null {
		return nil
	}

	err := read(m, value)
	if refused, ok := err.(*unsupported); ok && refused.field == "" { //nolint:errorlint // made right here
		refused.field = name
	}

	return err
}

// body is the request as JSON.
func (m *messages) body() ([]byte, error) {
	if m.MaxTokens == 0 {
		m.MaxTokens = anthropicMaxTokens
	}

	m.limitCalls()
	m.talk()

	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("translate the request: %w", err)
	}

	for _, name := range slices.Sorted(maps.Keys(m.own)) {
		body = withField(body, name, m.own[name])
	}

	return body, nil
}

// ignoredFields are the fields of a request that the Messages API has nothing for.
func ignoredFields(body []byte) []string {
	var ignored []string

	gjson.ParseBytes(body).ForEach(func(key, value gjson.Result) bool {
		name := key.String()
		if translated[name] == nil && !own[name] && !routing[name] && !neutral(value) {
			ignored = append(ignored, name)
		}

		return true
	})

	return ignored
}

// neutral reports whether a value asks for nothing.
func neutral(value gjson.Result) bool {
	return empty(value) || value.Type == gjson.False || value.Type == gjson.Number && value.Num == 0
}
