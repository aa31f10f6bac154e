package ambassador

import (
	"encoding/json"

	"github.com/tidwall/gjson"
)

// Options of a request, each as the Messages API has it.

func (m *messages) readMaxTokens(value gjson.Result) error {
	if value.Type != gjson.Number || value.Int() < 1 {
		return refuse("", "must be a number of at least 1")
	}

	m.MaxTokens = max(m.MaxTokens, value.Int())

	return nil
}

func (m *messages) readStop(value gjson.Result) error {
	if value.Type == gjson.String {
		m.StopSequences = []string{value.Str}

		return nil
	}

	for _, stop := range value.Array() {
		if stop.Type != gjson.String {
			return refuse("", "must be a string or an array of strings")
		}

		m.StopSequences = append(m.StopSequences, stop.Str)
	}

	return nil
}

// readTemperature cuts what is hotter than 1: OpenAI's scale ends at 2, Anthropic's at 1.
func (m *messages) readTemperature(value gjson.Result) error {
	heat := min(value.Float(), 1)
	m.Temperature = &heat

	return number(value)
}

func (m *messages) readTopP(value gjson.Result) error {
	share := value.Float()
	m.TopP = &share

	return number(value)
}

func number(value gjson.Result) error {
	if value.Type != gjson.Number {
		return refuse("", "must be a number")
	}

	return nil
}

func (m *messages) readUser(value gjson.Result) error {
	if value.Type != gjson.String {
		return refuse("", "must be a string")
	}

	m.Metadata = map[string]string{"user_id": value.Str}

	return nil
}

// readEffort passes the effort on; which models know it is the provider's to judge.
func (m *messages) readEffort(value gjson.Result) error {
	switch value.String() {
	case "none":
		return nil
	case "minimal":
		m.OutputConfig["effort"] = json.RawMessage(`"low"`)
	default:
		m.OutputConfig["effort"] = json.RawMessage(value.Raw)
	}

	return nil
}

// readFormat takes schemas. Anthropic's API can't promise JSON without one.
func (m *messages) readFormat(value gjson.Result) error {
	switch kind := value.Get("type").String(); kind {
	case "text":
		return nil
	case "json_schema":
		schema := value.Get("json_schema.schema")
		if !schema.IsObject() {
			return refuse("response_format.json_schema.schema", "must be an object")
		}

		m.OutputConfig["format"] = json.RawMessage(`{"type":"json_schema","schema":` + schema.Raw + `}`)

		return nil
	default:
		return refuse("response_format.type", "%q is not possible with Anthropic's API; text and json_schema are", kind)
	}
}

// readOutputConfig takes Anthropic's own field; it stands beside what was translated into it.
func (m *messages) readOutputConfig(value gjson.Result) error {
	if !value.IsObject() {
		return refuse("", "must be an object")
	}

	value.ForEach(func(key, part gjson.Result) bool {
		m.OutputConfig[key.String()] = json.RawMessage(part.Raw)

		return true
	})

	return nil
}
