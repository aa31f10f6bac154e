package webapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Answer is what a server answered, as a model can read it.
type Answer struct {
	// Status is the HTTP status.
	Status int
	// Text is the body: JSON without spaces, or the text; or what stands for it where it is neither.
	Text string
	// JSON is the decoded body, nil if it is none.
	JSON any
	// Cut says that the body has more bytes than were read.
	Cut bool
}

// IsOK reports whether the server did what it was asked for.
func (a Answer) IsOK() bool { return a.Status >= 200 && a.Status < 300 }

// Line is the status in words.
func (a Answer) Line() string {
	return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", a.Status, http.StatusText(a.Status)))
}

// Read reads an answer, at most so many bytes of its body, and closes it. The error is one of the connection.
func Read(response *http.Response, limit int64) (Answer, error) {
	page, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	_ = response.Body.Close() // as much of it was read as is wanted

	if err != nil {
		return Answer{}, fmt.Errorf("reading the answer: %w", err)
	}

	answer := Answer{Status: response.StatusCode}
	if int64(len(page)) > limit {
		page, answer.Cut = page[:limit], true
	}

	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))

	text, value, decoded := "", any(nil), false
	if isJSON(kind) && !answer.Cut {
		text, value, decoded = decode(page)
	}

	switch {
	case response.Request != nil && response.Request.Method == http.MethodHead:
		answer.Text = answer.Line() + headLines(response.Header)
	case len(page) == 0:
		if answer.IsOK() {
			answer.Text = answer.Line()
		}
	case decoded:
		answer.Text, answer.JSON = text, value
	case isText(kind) || (kind == "" && utf8.Valid(page)):
		answer.Text = string(page)
	default:
		answer.Text = fmt.Sprintf("[%s, %d bytes, left out]", kind, len(page))
	}

	return answer, nil
}

// decode reads a body of JSON, with its text as it is but for spaces; ok is false if it is none.
func decode(page []byte) (text string, value any, ok bool) {
	compacted := &bytes.Buffer{}
	ok = json.Compact(compacted, page) == nil && json.Unmarshal(page, &value) == nil

	return compacted.String(), value, ok
}

func isJSON(kind string) bool { return kind == kindJSON || strings.HasSuffix(kind, "+json") }

func isText(kind string) bool {
	return strings.HasPrefix(kind, "text/") || isJSON(kind) || strings.HasSuffix(kind, "/xml") || strings.HasSuffix(kind, "+xml") ||
		strings.HasSuffix(kind, "yaml") || kind == "application/x-ndjson" || kind == kindForm || kind == "application/javascript"
}

// headLines are the headers that say what a GET would answer.
func headLines(header http.Header) string {
	lines := &strings.Builder{}

	for _, name := range []string{"Content-Type", "Content-Length", "Last-Modified", "Etag"} {
		if value := header.Get(name); value != "" {
			fmt.Fprintf(lines, "\n%s: %s", name, value)
		}
	}

	return lines.String()
}
