package gateway

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

// restError is the one shape of errors over REST.
type restError struct {
	Error restErrorBody `json:"error"`
}

type restErrorBody struct {
	Code            string            `json:"code"`
	HTTPStatus      int               `json:"httpStatus"`
	Reason          string            `json:"reason"`
	Message         string            `json:"message"`
	FieldViolations []fault.Violation `json:"fieldViolations,omitempty"`
	Metadata        map[string]string `json:"metadata,omitempty"`
	RequestID       string            `json:"requestId,omitempty"`
}

// newRESTError makes the shape.
func newRESTError(err error, requestID string) restErrorBody {
	inner := presentable(fault.From(err))

	status := inner.HTTPStatus()

	if own, ok := errors.AsType[statusError](err); ok {
		status = own.status
	}

	return restErrorBody{
		Code: codeName(inner.Code), HTTPStatus: status, Reason: inner.Reason, Message: inner.Message,
		FieldViolations: inner.Violations, Metadata: inner.Metadata, RequestID: requestID,
	}
}

// withJSONNames renames the fields that an error of the service speaks of to what they are called in JSON.
func withJSONNames(err error) error {
	inner := fault.From(err)
	if len(inner.Violations) == 0 {
		return err
	}

	violations := make([]fault.Violation, len(inner.Violations))
	for i, violation := range inner.Violations {
		violations[i] = fault.Violation{Field: jsonName(violation.Field), Message: violation.Message}
	}

	return fault.Invalid(violations...)
}

// jsonName turns conversation_id into conversationId, and leaves anything that is not a proto's name as it is.
func jsonName(field string) string {
	parts := strings.Split(field, "_")
	for i, part := range parts[1:] {
		if part != "" {
			parts[i+1] = strings.ToUpper(part[:1]) + part[1:]
		}
	}

	return strings.Join(parts, "")
}

func writeError(w http.ResponseWriter, r *http.Request, err error) {
	body := newRESTError(err, callOf(r.Context()).requestID)
	header := w.Header()

	if wait := fault.From(err).RetryAfter; wait > 0 {
		header.Set("Retry-After", retryAfter(wait))
	}

	if fault.CodeOf(err) == codes.Unauthenticated {
		header.Set("WWW-Authenticate", `Bearer realm="serin"`)
	}

	writeJSON(w, body.HTTPStatus, restError{body})
}

// retryAfter is whole seconds, at least 1.
func retryAfter(wait time.Duration) string {
	return strconv.FormatInt(int64(max(math.Ceil(wait.Seconds()), 1)), 10)
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	data := append(mustJSON(value), '\n')

	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	_, _ = w.Write(data) // a client that left needs no answer
}

func errRoute(path string) error {
	return withStatus(http.StatusNotFound, fault.New(codes.NotFound, "ROUTE_NOT_FOUND",
		"there is nothing at %s; GET / lists what is here", path))
}

func errVerb(verb, path string, verbs []string) error {
	return withStatus(http.StatusMethodNotAllowed, fault.New(codes.Unimplemented, "METHOD_NOT_ALLOWED",
		"%s answers to %s, not to %s", path, strings.Join(verbs, " and "), verb))
}

// mustJSON encodes what can't fail: values made of strings and numbers.
func mustJSON(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		return []byte(`{"error":{"code":"INTERNAL"}}`)
	}

	return data
}
