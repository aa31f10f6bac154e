package tools

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// reply is what a tool answered.
type reply struct {
	// text is what the model reads: structured content as JSON if there is any, else the texts.
	text string
	// structured is the decoded structured content; nil if there is none.
	structured any
	// failed says that the tool answered with an error of its own.
	failed bool
}

// newReply reads an MCP result.
func newReply(result *mcp.CallToolResult) reply {
	if result.NeedsInput() {
		return reply{text: "the tool asks for further input, which can't be given here", failed: true}
	}

	text := contentText(result.Content)
	answer := reply{text: text, structured: result.StructuredContent, failed: result.IsError}

	if answer.structured != nil && !answer.failed {
		answer.text = structuredText(answer.structured, text)
	}

	return answer
}

// structuredText is the structured content as JSON. Servers are asked to repeat it as text; that text is preferred where
// it says the same, since decoding has made large integers imprecise.
func structuredText(structured any, text string) string {
	var same any
	if json.Unmarshal([]byte(text), &same) == nil && jsonschema.Equal(structured, same) {
		var compact bytes.Buffer
		if json.Compact(&compact, []byte(text)) == nil {
			return compact.String()
		}
	}

	encoded, err := encode(structured)
	if err != nil {
		return text
	}

	return encoded
}

// contentText joins the texts of a result; what is not text is named, since a model that reads text can't use it.
func contentText(contents []mcp.Content) string {
	texts := make([]string, 0, len(contents))

	for _, content := range contents {
		switch content := content.(type) {
		case *mcp.TextContent:
			texts = append(texts, content.Text)
		case *mcp.ImageContent:
			texts = append(texts, fmt.Sprintf("[image %s, %d bytes, left out]", content.MIMEType, len(content.Data)))
		case *mcp.AudioContent:
			texts = append(texts, fmt.Sprintf("[audio %s, %d bytes, left out]", content.MIMEType, len(content.Data)))
		case *mcp.ResourceLink:
			texts = append(texts, fmt.Sprintf("[resource %s]", content.URI))
		case *mcp.EmbeddedResource:
			texts = append(texts, resourceText(content.Resource))
		default:
			texts = append(texts, "[content of an unknown kind, left out]")
		}
	}

	return strings.Join(texts, "\n")
}

func resourceText(resource *mcp.ResourceContents) string {
	switch {
	case resource == nil:
		return "[resource without contents]"
	case resource.Blob != nil:
		return fmt.Sprintf("[resource %s, %d bytes, left out]", resource.URI, len(resource.Blob))
	default:
		return resource.Text
	}
}

// cut shortens a text to at most limit bytes at a rune's boundary and says so behind it.
func cut(text string, limit int64) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if int64(len(text)) <= limit {
		return text
	}

	shown := boundary(text, int(limit))

	return fmt.Sprintf("%s\n[cut: %d bytes of %d shown]", text[:shown], shown, len(text))
}

// clip shortens a message at a rune's boundary.
func clip(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}

	return text[:boundary(text, limit)] + "…"
}

// boundary returns the last place at or before limit where a rune begins.
func boundary(text string, limit int) int {
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}

	return limit
}
