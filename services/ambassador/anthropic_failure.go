package ambassador

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// failure reads an error of the Messages API: {"type":"error","error":{"type":...,"message":...}}.
func (anthropic) failure(status int, header http.Header, body []byte, now time.Time) *failure {
	failed := classify(status, header, body, now)

	// Used-up credit and limits of spending come as mistakes of the request.
	if status == http.StatusBadRequest && about(strings.ToLower(failed.message), spentWords) {
		failed.class = classQuota
	}

	failed.body = openAIError(errorObject(body).Get("type").String(), failed.message)

	return failed
}

var spentWords = []string{"credit balance", "api usage limits"}

// openAIError is an error object as OpenAI's clients know it; nil if nothing is known.
func openAIError(kind, message string) []byte {
	if kind == "" && message == "" {
		return nil
	}

	body, err := json.Marshal(map[string]*apiError{"error": {Message: message, Type: kind}})
	if err != nil { // strings always marshal
		return nil
	}

	return body
}
