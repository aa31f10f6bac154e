package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// secret matches what looks like a key: providers repeat a bad one in their answers.
var secret = regexp.MustCompile(`(?i)\b(sk|pk|key|api)[-_][a-z0-9_\-*.]{6,}|bearer\s+\S+`)

// maxProviderText is how much of a provider's words a person gets to read.
const maxProviderText = 400

// errUnreachable says that the request never reached the ambassador.
var errUnreachable = errors.New("the LLM ambassador can't be reached")

// errFormless says that a provider can't be asked for a form of the answer.
var errFormless = errors.New("the provider takes no form of the answer")

// aboutForm reports whether a refusal is about the form that was asked for.
func aboutForm(refused *openai.Error) bool {
	if refused.StatusCode != http.StatusBadRequest && refused.StatusCode != http.StatusUnprocessableEntity {
		return false
	}

	said := strings.ToLower(refused.Message + " " + refused.Param)

	return strings.Contains(said, "response_format") || strings.Contains(said, "json_schema") ||
		strings.Contains(said, "output_config") || strings.Contains(said, "output_format") || strings.Contains(said, "structured output")
}

// describe makes an error that a person can act on and that holds no secrets. Errors of the context stay as they are.
// Connected says that there was a connection to send the request on: without one it was not sent.
func describe(err error, response *http.Response, connected bool) error {
	var (
		refused *openai.Error
		within  *ssestream.StreamError
		failed  *url.Error
	)

	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &refused) && aboutForm(refused):
		return fmt.Errorf("%w: %s (HTTP %d%s)", errFormless, clean(refused.Message), refused.StatusCode, code(refused.Code))
	case errors.As(err, &refused):
		return fmt.Errorf("%s (HTTP %d%s)", clean(refused.Message), refused.StatusCode, code(refused.Code))
	case errors.As(err, &within):
		return errors.New(clean(streamMessage(within)))
	case !connected && errors.As(err, &failed):
		return fmt.Errorf("%w: %w", errUnreachable, failed.Err)
	case response != nil && response.StatusCode >= http.StatusBadRequest:
		return fmt.Errorf("HTTP %d without an explanation", response.StatusCode)
	default:
		return fmt.Errorf("the answer was cut off: %s", clean(err.Error()))
	}
}

func clean(text string) string {
	if text == "" {
		return "no explanation"
	}

	return cut(secret.ReplaceAllString(text, "[hidden]"), maxProviderText)
}

func code(code string) string {
	if code == "" {
		return ""
	}

	return ", " + clean(code)
}

// streamMessage finds the words in an error event of a stream.
func streamMessage(within *ssestream.StreamError) string {
	var event struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}

	if json.Unmarshal(within.Event.Data, &event) == nil && event.Error.Message != "" {
		return event.Error.Message
	}

	return within.Message
}
