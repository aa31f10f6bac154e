package ambassador

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// statusClientClosedRequest is nginx's code for a client that went away; it is only ever logged.
const statusClientClosedRequest = 499

// apiError is an error as OpenAI's API tells it.
type apiError struct {
	status     int
	retryAfter time.Duration
	// raw is a provider's own error body, which is told as it is.
	raw []byte

	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

func badRequest(param, message string) *apiError {
	bad := &apiError{status: http.StatusBadRequest, Message: message, Type: "invalid_request_error"}
	if param != "" {
		bad.Param = &param
	}

	return bad
}

func tooLarge(limit int64) *apiError {
	large := badRequest("", fmt.Sprintf("the body is larger than %d bytes", limit))
	large.status = http.StatusRequestEntityTooLarge

	return large
}

// apiErrorOf tells a failure to a client. Mistakes of the client come in the provider's own words; of all others the
// client learns what it can do about them.
func apiErrorOf(failed *failure) *apiError {
	code := string(failed.class)
	told := &apiError{
		status: failed.class.handling().status, retryAfter: failed.retryAfter, Type: "serin_upstream_error", Code: &code,
		Message: failed.message,
	}

	switch failed.class { //nolint:exhaustive // the others are told as they are
	case classInvalid, classContext, classModel, classUnsupported:
		told.raw, told.Type = failed.body, "invalid_request_error"
		if failed.status != 0 {
			told.status = failed.status
		}
	case classRateLimit, classCooling, classQueueFull:
		told.Type, code = "rate_limit_error", "rate_limit_exceeded"
	case classQuota:
		told.Type, code = "insufficient_quota", "insufficient_quota"
	case classCredential: // the provider's words may hold a part of the key
		told.Message = "the provider refused the ambassador's API key"
	default:
	}

	if failed.provider != "" && told.raw == nil {
		told.Message = failed.provider + ": " + told.Message
	}

	return told
}

// body is {"error": {...}}.
func (e *apiError) body() []byte {
	if e.raw != nil {
		return e.raw
	}

	body, err := json.Marshal(map[string]*apiError{"error": e})
	if err != nil { // strings always marshal
		return []byte(`{"error":{"message":"internal error","type":"server_error","param":null,"code":null}}`)
	}

	return body
}

// write answers with the error, in OpenAI's words.
func (e *apiError) write(writer http.ResponseWriter) { e.through(chatDoor{}, writer) }

// through answers with the error. The ambassador has retried what makes sense, so clients are told not to, unless they
// are told when.
func (e *apiError) through(door door, writer http.ResponseWriter) {
	header := writer.Header()
	header.Set("Content-Type", "application/json")

	if e.status == http.StatusTooManyRequests || e.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", retrySeconds(max(e.retryAfter, queueRetry)))
	} else {
		header.Set("X-Should-Retry", "false")
	}

	writer.WriteHeader(e.status)
	_, _ = writer.Write(door.error(e)) //nolint:gosec // it is JSON and says so; a client that is gone needs no answer
}
