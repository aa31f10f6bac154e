package ambassador

import (
	"encoding/json"
	"fmt"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
)

// anthropicTool is a tool as the Messages API has it.
type anthropicTool struct {
	Name         string          `json:"name"`
	Description  string          `json:"description,omitempty"`
	InputSchema  json.RawMessage `json:"input_schema"`
	Strict       bool            `json:"strict,omitempty"`
	CacheControl json.RawMessage `json:"cache_control,omitempty"`
}

type toolChoice struct {
	Type            string `json:"type"`
	Name            string `json:"name,omitempty"`
	DisableParallel bool   `json:"disable_parallel_tool_use,omitempty"`
}

func (m *messages) readTools(value gjson.Result) error {
	if !value.IsArray() {
		return refuse("", "must be an array")
	}

	for i, tool := range value.Array() {
		field := fmt.Sprintf("tools[%d]", i)

		if kind := tool.Get("type").String(); kind != "function" {
			return refuse(field+".type", "%q is not possible with Anthropic's API; only function is", kind)
		}

		function := tool.Get("function")
		if function.Get("name").String() == "" {
			return refuse(field+".function.name", "is empty")
		}

		schema, err := inputSchema(function.Get("parameters"))
		if err != nil {
			return refuse(field+".function.parameters", "%v", err)
		}

		m.Tools = append(m.Tools, anthropicTool{
			Name: function.Get("name").String(), Description: function.Get("description").String(), InputSchema: schema,
			Strict: function.Get("strict").Bool(), CacheControl: cacheControl(tool),
		})
	}

	return nil
}

// inputSchema is a function's parameters; the Messages API demands a schema that says it is an object's.
func inputSchema(parameters gjson.Result) (json.RawMessage, error) {
	switch {
	case !parameters.Exists() || parameters.Type == gjson.Null:
		return json.RawMessage(`{"type":"object","properties":{}}`), nil
	case !parameters.IsObject():
		return nil, fmt.Errorf("is %s; a JSON Schema object is needed", parameters.Raw)
	case parameters.Get("type").Exists():
		return json.RawMessage(parameters.Raw), nil
	default:
		schema, err := sjson.Set(parameters.Raw, "type", "object")

		return json.RawMessage(schema), err
	}
}

// cacheControl is Anthropic's mark of where a cached prefix ends, which clients may set on parts and tools.
func cacheControl(value gjson.Result) json.RawMessage {
	if mark := value.Get("cache_control"); mark.IsObject() {
		return json.RawMessage(mark.Raw)
	}

	return nil
}

func (m *messages) readToolChoice(value gjson.Result) error {
	kinds := map[string]string{"auto": "auto", "none": "none", "required": "any"}

	if value.Type == gjson.String {
		kind, known := kinds[value.Str]
		if !known {
			return refuse("", "is %q; auto, none, required or a function is needed", value.Str)
		}

		m.ToolChoice = &toolChoice{Type: kind}

		return nil
	}

	if kind := value.Get("type").String(); kind != "function" {
		return refuse("tool_choice.type", "%q is not possible with Anthropic's API; only function is", kind)
	}

	m.ToolChoice = &toolChoice{Type: "tool", Name: value.Get("function.name").String()}

	return nil
}

func (m *messages) readParallel(value gjson.Result) error {
	m.single = value.Type == gjson.False

	return nil
}

// limitCalls says that one call at a time is wanted, which the Messages API takes as a part of the choice.
func (m *messages) limitCalls() {
	if len(m.Tools) == 0 {
		m.ToolChoice = nil // without tools there is nothing to choose, and the API refuses to

		return
	}

	if !m.single {
		return
	}

	if m.ToolChoice == nil {
		m.ToolChoice = &toolChoice{Type: "auto"}
	}

	m.ToolChoice.DisableParallel = m.ToolChoice.Type != "none"
}
