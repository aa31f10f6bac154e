// Package fault is the one kind of error that crosses Serin's boundaries: it knows its gRPC code and its HTTP status,
// carries google.rpc details, and survives hops.
package fault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Domain is the ErrorInfo domain of every reason that Serin makes.
const Domain = "serin.dev"

// Violation names one bad field of a request.
type Violation struct {
	// Field is the path, such as spec.budgets.steps.
	Field string `json:"field"`
	// Message says what is wrong with the value and what would be right.
	Message string `json:"message"`
}

// Error is a fault. Make one with [New] or [Invalid].
type Error struct {
	// Code is the gRPC code.
	Code codes.Code
	// Reason is machine-readable, UPPER_SNAKE_CASE, stable across releases.
	Reason string
	// Message is what a person can act on.
	Message string
	// Metadata are facts for machines, such as the holder of a lease.
	Metadata map[string]string
	// Violations are bad fields, for INVALID_ARGUMENT.
	Violations []Violation
	// RetryAfter is when trying again makes sense; 0 if it is not known.
	RetryAfter time.Duration

	cause error
}

// New makes an error. The message is formatted as by [fmt.Errorf], so %w keeps a cause.
func New(code codes.Code, reason, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)

	return &Error{Code: code, Reason: reason, Message: err.Error(), cause: errors.Unwrap(err)}
}

// Invalid makes an INVALID_ARGUMENT error out of field violations.
func Invalid(violations ...Violation) *Error {
	texts := make([]string, len(violations))
	for i, violation := range violations {
		texts[i] = violation.Field + ": " + violation.Message
	}

	return &Error{
		Code: codes.InvalidArgument, Reason: "INVALID", Message: strings.Join(texts, "; "), Violations: violations,
	}
}

// With returns a copy that carries one more fact for machines.
func (e *Error) With(key, value string) *Error {
	clone := *e
	clone.Metadata = maps.Clone(e.Metadata)

	if clone.Metadata == nil {
		clone.Metadata = map[string]string{}
	}

	clone.Metadata[key] = value

	return &clone
}

// After returns a copy that says when trying again makes sense.
func (e *Error) After(wait time.Duration) *Error {
	clone := *e
	clone.RetryAfter = wait

	return &clone
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause, if there is one in this process.
func (e *Error) Unwrap() error { return e.cause }

// GRPCStatus returns the status with google.rpc details, so that grpc-go sends it as it is.
func (e *Error) GRPCStatus() *status.Status {
	plain := status.New(e.Code, e.Message)

	details := []protoadapt.MessageV1{}
	if e.Reason != "" {
		details = append(details, &errdetails.ErrorInfo{Domain: Domain, Reason: e.Reason, Metadata: e.Metadata})
	}

	if len(e.Violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, violation := range e.Violations {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: violation.Field, Description: violation.Message,
			})
		}

		details = append(details, bad)
	}

	if e.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}

	detailed, err := plain.WithDetails(details...)
	if err != nil { // only for codes.OK or details that do not marshal, and then the plain status is all there is
		return plain
	}

	return detailed
}

// From returns the fault in err: an [*Error] as it is, a gRPC status with its details read back, context errors by
// their codes, anything else as INTERNAL. It returns nil for nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}

	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}

	var carrier interface{ GRPCStatus() *status.Status }
	if errors.As(err, &carrier) {
		return fromStatus(carrier.GRPCStatus(), err)
	}

	code, reason := codes.Internal, "INTERNAL"

	switch {
	case errors.Is(err, context.DeadlineExceeded):
		code, reason = codes.DeadlineExceeded, "DEADLINE_EXCEEDED"
	case errors.Is(err, context.Canceled):
		code, reason = codes.Canceled, "CANCELLED"
	}

	return &Error{Code: code, Reason: reason, Message: err.Error(), cause: err}
}

func fromStatus(from *status.Status, cause error) *Error {
	fault := &Error{Code: from.Code(), Message: from.Message(), cause: cause}

	for _, detail := range from.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			fault.Reason, fault.Metadata = detail.GetReason(), detail.GetMetadata()
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				fault.Violations = append(fault.Violations, Violation{
					Field: violation.GetField(), Message: violation.GetDescription(),
				})
			}
		case *errdetails.RetryInfo:
			fault.RetryAfter = detail.GetRetryDelay().AsDuration()
		}
	}

	return fault
}

// Is reports whether err is a fault with one of the reasons.
func Is(err error, reasons ...string) bool {
	return err != nil && slices.Contains(reasons, From(err).Reason)
}

// CodeOf returns the gRPC code of err; codes.OK for nil.
func CodeOf(err error) codes.Code {
	if err == nil {
		return codes.OK
	}

	return From(err).Code
}

// HTTPStatus returns the status that REST answers with. It is grpc-gateway's mapping, but for preconditions, which are
// conflicts with the state of a resource (409) rather than bad requests (400).
func (e *Error) HTTPStatus() int {
	switch e.Code {
	case codes.OK:
		return http.StatusOK
	case codes.InvalidArgument, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.NotFound:
		return http.StatusNotFound
	case codes.AlreadyExists, codes.Aborted, codes.FailedPrecondition:
		return http.StatusConflict
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Canceled:
		return statusClientClosedRequest
	case codes.Unimplemented:
		return http.StatusNotImplemented
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	case codes.Unknown, codes.Internal, codes.DataLoss:
		return http.StatusInternalServerError
	default:
		return http.StatusInternalServerError
	}
}

// statusClientClosedRequest is nginx's code for a client that went away; grpc-gateway uses it for CANCELLED.
const statusClientClosedRequest = 499
