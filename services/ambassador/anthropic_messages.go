package ambassador

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"
)

// spoken is a message of the Messages API. Content holds blocks, or raw ones that the provider itself has made.
type spoken struct {
	Role    string `json:"role"`
	Content []any  `json:"content"`
}

// block is a part of a message.
type block struct {
	Type         string          `json:"type"`
	Text         string          `json:"text,omitempty"`
	Source       *blockSource    `json:"source,omitempty"`
	Title        string          `json:"title,omitempty"`
	ID           string          `json:"id,omitempty"`
	Name         string          `json:"name,omitempty"`
	Input        json.RawMessage `json:"input,omitempty"`
	ToolUseID    string          `json:"tool_use_id,omitempty"`
	Content      []any           `json:"content,omitempty"`
	CacheControl json.RawMessage `json:"cache_control,omitempty"`
}

const (
	speakerUser      = "user"
	speakerAssistant = "assistant"
)

// Texts that stand where the Messages API wants a user's message and chat completions do not: before an assistant that
// speaks first, and after one that spoke last, which would otherwise be asked to go on within its own sentence.
const (
	earlier = "(The conversation began earlier.)"
	proceed = "(Go on.)"
)

func (m *messages) readMessages(value gjson.Result) error {
	for i, message := range value.Array() {
		if err := m.message(fmt.Sprintf("messages[%d]", i), message); err != nil {
			return err
		}
	}

	return nil
}

func (m *messages) message(field string, message gjson.Result) error {
	parts, err := readParts(field+".content", message.Get("content"))
	if err != nil {
		return err
	}

	switch role := message.Get("role").String(); role {
	case "system", "developer":
		return m.instruct(field, parts)
	case "user":
		m.say(speakerUser, parts)
	case "assistant":
		return m.assistant(field, message, parts)
	case "tool":
		m.say(speakerUser, []any{block{
			Type: "tool_result", ToolUseID: toolUseID(message.Get("tool_call_id").String()), Content: parts,
			CacheControl: cacheControl(message),
		}})
	default:
		return refuse(field+".role", "%q is not possible with Anthropic's API", role)
	}

	return nil
}

// instruct adds to the system prompt, which the Messages API has outside of the conversation.
func (m *messages) instruct(field string, parts []any) error {
	for _, part := range parts {
		text, ok := part.(block)
		if !ok || text.Type != "text" {
			return refuse(field+".content", "a system prompt can only have text")
		}

		m.System = append(m.System, text)
	}

	return nil
}

// say adds parts to the conversation. What one side says in several messages is one message: the results of parallel
// calls must come together.
func (m *messages) say(role string, parts []any) {
	if len(parts) == 0 {
		return
	}

	if last := len(m.Messages) - 1; last >= 0 && m.Messages[last].Role == role {
		m.Messages[last].Content = append(m.Messages[last].Content, parts...)

		return
	}

	m.Messages = append(m.Messages, spoken{Role: role, Content: parts})
}

// talk sees to it that a user speaks first and last.
func (m *messages) talk() {
	if len(m.Messages) == 0 {
		return
	}

	if m.Messages[0].Role == speakerAssistant {
		first := spoken{Role: speakerUser, Content: []any{block{Type: "text", Text: earlier}}}
		m.Messages = append([]spoken{first}, m.Messages...)
	}

	if m.Messages[len(m.Messages)-1].Role == speakerAssistant {
		m.say(speakerUser, []any{block{Type: "text", Text: proceed}})
	}
}

func (m *messages) assistant(field string, message gjson.Result, parts []any) error {
	content := []any{}

	// Thinking goes back as it came, signed by the provider, before everything else.
	for _, thought := range message.Get("thinking_blocks").Array() {
		content = append(content, json.RawMessage(thought.Raw))
	}

	content = append(content, parts...)

	if refusal := message.Get("refusal").String(); refusal != "" {
		content = append(content, block{Type: "text", Text: refusal})
	}

	for i, call := range message.Get("tool_calls").Array() {
		arguments := strings.TrimSpace(call.Get("function.arguments").String())
		if arguments == "" {
			arguments = "{}"
		}

		if !gjson.Valid(arguments) || arguments[0] != '{' {
			return refuse(fmt.Sprintf("%s.tool_calls[%d].function.arguments", field, i), "must be a JSON object")
		}

		content = append(content, block{
			Type: "tool_use", ID: toolUseID(call.Get("id").String()), Name: call.Get("function.name").String(),
			Input: json.RawMessage(arguments),
		})
	}

	m.say(speakerAssistant, content)

	return nil
}

// toolUseID makes an id that the Messages API takes; other providers' ids may have more characters.
func toolUseID(id string) string {
	return strings.Map(func(char rune) rune {
		switch {
		case char >= 'a' && char <= 'z', char >= 'A' && char <= 'Z', char >= '0' && char <= '9', char == '_', char == '-':
			return char
		default:
			return '_'
		}
	}, id)
}
