package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// Classes of failed model calls beside those that the ambassador names.
const (
	classCancelled   = "cancelled"
	classTimeout     = "timeout"
	classUnreachable = "unreachable"
	classCut         = "cut_stream"
	classOther       = "_OTHER" // the conventions' word
)

// modelError is a failed model call with its class, a word for metrics.
type modelError struct {
	error

	class string
}

func (e *modelError) Unwrap() error { return e.error }

// classOf is the class of a call's error, empty if there is none.
func classOf(err error) string {
	var classified *modelError

	switch {
	case err == nil:
		return ""
	case errors.As(err, &classified):
		return classified.class
	case errors.Is(err, context.DeadlineExceeded):
		return classTimeout
	case errors.Is(err, context.Canceled), errors.Is(err, errCancelled), errors.Is(err, errDraining),
		errors.Is(err, errSuperseded), errors.Is(err, errLeaseLost):
		return classCancelled
	default:
		return classOther
	}
}

// word is what may be a value of a metric's label; other codes are not taken from a provider.
var word = regexp.MustCompile(`^[a-z][a-z_]{0,47}$`)

// classOfCall finds the class of what the SDK returned.
func classOfCall(err error, response *http.Response) string {
	var (
		refused *openai.Error
		within  *ssestream.StreamError
	)

	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return classTimeout
	case errors.Is(err, context.Canceled):
		return classCancelled
	case errors.As(err, &refused) && word.MatchString(refused.Code):
		return refused.Code
	case errors.As(err, &refused):
		return strconv.Itoa(refused.StatusCode)
	case errors.As(err, &within):
		return streamCode(within)
	case response != nil && response.StatusCode >= http.StatusBadRequest:
		return strconv.Itoa(response.StatusCode)
	case response == nil:
		return classUnreachable
	default:
		return classCut
	}
}

// streamCode finds the code in an error event of a stream.
func streamCode(within *ssestream.StreamError) string {
	var event struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}

	if json.Unmarshal(within.Event.Data, &event) == nil && word.MatchString(event.Error.Code) {
		return event.Error.Code
	}

	return classOther
}
