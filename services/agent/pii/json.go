package pii

import (
	"bytes"
	"encoding/json"
	"strings"
)

// RedactJSON redacts the texts and numbers within JSON, so that it stays JSON: a number that is hidden becomes a text.
// What is no object or list is redacted as a text.
func (b *Book) RedactJSON(text string, own bool) string {
	if b == nil || len(b.kinds) == 0 {
		return text
	}

	if trimmed := strings.TrimSpace(text); trimmed == "" || trimmed[0] != '{' && trimmed[0] != '[' || !json.Valid([]byte(text)) {
		return b.redact(text, own)
	}

	var redacted strings.Builder

	for at := 0; at < len(text); {
		token := text[at : at+tokenLength(text[at:])]
		redacted.WriteString(b.redactToken(token, own))

		at += len(token)
	}

	return redacted.String()
}

// tokenLength is how long the text, the number, or the piece of structure is that valid JSON goes on with.
func tokenLength(text string) int {
	if text[0] == '"' {
		for i := 1; ; i++ {
			switch text[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
	}

	length := 1
	if !inNumber(text[0]) {
		return length
	}

	for length < len(text) && inNumber(text[length]) {
		length++
	}

	return length
}

func inNumber(char byte) bool {
	return char >= '0' && char <= '9' || strings.IndexByte("+-.eE", char) >= 0
}

func (b *Book) redactToken(token string, own bool) string {
	if token[0] != '"' {
		if redacted := b.redact(token, own); redacted != token {
			return `"` + redacted + `"`
		}

		return token
	}

	var text string
	if err := json.Unmarshal([]byte(token), &text); err != nil { // cannot be: the whole was valid
		return `""`
	}

	redacted := b.redact(text, own)
	if redacted == text {
		return token
	}

	var encoded bytes.Buffer

	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)

	if err := encoder.Encode(redacted); err != nil { // texts always encode
		return `""`
	}

	return strings.TrimSuffix(encoded.String(), "\n")
}
