package fault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"
)

// httpBody is the gateway's one shape of errors.
type httpBody struct {
	Error struct {
		Code            json.RawMessage   `json:"code"`
		Reason          string            `json:"reason"`
		Message         string            `json:"message"`
		FieldViolations []Violation       `json:"fieldViolations"`
		Metadata        map[string]string `json:"metadata"`
	} `json:"error"`
}

// FromHTTP makes an error out of an answer of the gateway that is not a good one. Something in between may have answered
// instead, so nothing but the status is sure to be there: the reason is then HTTP_ and the status.
func FromHTTP(status int, data []byte) *Error {
	body := httpBody{}
	if json.Unmarshal(data, &body) != nil {
		body = httpBody{}
	}

	found := &Error{
		Code: codeOfStatus(status), Reason: body.Error.Reason, Message: body.Error.Message,
		Violations: body.Error.FieldViolations, Metadata: body.Error.Metadata,
	}

	var code codes.Code
	if len(body.Error.Code) > 0 && code.UnmarshalJSON(body.Error.Code) == nil && code != codes.OK {
		found.Code = code
	}

	if found.Reason == "" {
		found.Reason = "HTTP_" + strconv.Itoa(status)
	}

	if found.Message == "" {
		found.Message = fmt.Sprintf("the gateway answered %d %s", status, http.StatusText(status))
	}

	return found
}

// codeOfStatus is the code where an answer names none, as from a proxy in between.
func codeOfStatus(status int) codes.Code {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return codes.InvalidArgument
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusNotFound:
		return codes.NotFound
	case http.StatusConflict:
		return codes.FailedPrecondition
	case http.StatusTooManyRequests:
		return codes.ResourceExhausted
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return codes.Unavailable
	default:
		return codes.Unknown
	}
}
