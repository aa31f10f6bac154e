package ambassador

import (
	"fmt"

	"github.com/tidwall/gjson"
)

// user adds what a user's message holds: results of tools, each a message of its own here, and what the user says.
func (a *asked) user(field string, content gjson.Result) error {
	if content.Type == gjson.String {
		a.Messages = append(a.Messages, askedMessage{Role: "user", Content: content.Str})

		return nil
	}

	var parts []any

	for i, part := range content.Array() {
		at := fmt.Sprintf("%s[%d]", field, i)

		if part.Get("type").String() == "tool_result" {
			if err := a.result(at, part); err != nil {
				return err
			}

			continue
		}

		said, err := partOf(at, part)
		if err != nil {
			return err
		}

		parts = append(parts, said)
	}

	if len(parts) > 0 {
		a.Messages = append(a.Messages, askedMessage{Role: "user", Content: parts})
	}

	return nil
}

func (a *asked) result(field string, part gjson.Result) error {
	for i, inner := range part.Get("content").Array() {
		if kind := inner.Get("type").String(); inner.IsObject() && kind != "text" {
			return refuse(fmt.Sprintf("%s.content[%d].type", field, i), "%q is only possible with Anthropic's API", kind)
		}
	}

	a.Messages = append(a.Messages, askedMessage{
		Role: "tool", ToolCallID: part.Get("tool_use_id").String(), Content: textOf(part.Get("content")),
	})

	return nil
}

// partOf is a block as chat completions have it.
func partOf(field string, part gjson.Result) (any, error) {
	source := part.Get("source")

	url := source.Get("url").String()
	if source.Get("type").String() == "base64" {
		url = "data:" + source.Get("media_type").String() + ";base64," + source.Get("data").String()
	}

	switch kind := part.Get("type").String(); {
	case kind == "text":
		return map[string]any{"type": "text", "text": part.Get("text").String()}, nil
	case kind == "image" && url != "":
		return map[string]any{"type": "image_url", "image_url": map[string]any{"url": url}}, nil
	case kind == "document" && source.Get("type").String() == "base64":
		return map[string]any{"type": "file", "file": map[string]any{
			"filename": part.Get("title").String(), "file_data": url,
		}}, nil
	default:
		return nil, refuse(field+".type", "%q with this source is only possible with Anthropic's API", kind)
	}
}

// assistant adds what a model said. Its thoughts are left out: only the provider that signed them could read them.
func (a *asked) assistant(field string, content gjson.Result) error {
	said := askedMessage{Role: "assistant"}
	if text := textOf(content); text != "" {
		said.Content = text
	}

	for i, part := range content.Array() {
		switch kind := part.Get("type").String(); {
		case !part.IsObject(), kind == "text", kind == "thinking", kind == "redacted_thinking":
		case kind == "tool_use":
			said.ToolCalls = append(said.ToolCalls, completionCall{
				ID: part.Get("id").String(), Type: "function",
				Function: completionFunction{Name: part.Get("name").String(), Arguments: compact(part.Get("input").Raw)},
			})
		default:
			return refuse(fmt.Sprintf("%s[%d].type", field, i), "%q is only possible with Anthropic's API", kind)
		}
	}

	if said.Content != nil || len(said.ToolCalls) > 0 {
		a.Messages = append(a.Messages, said)
	}

	return nil
}
