package controller

import (
	"errors"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/canary"
)

// refusal turns what the engine refuses into a fault.
func refusal(err error) error {
	refused, ok := errors.AsType[*canary.Refusal](err)
	if !ok {
		return fault.From(err)
	}

	var field string

	switch refused.Reason {
	case "INVALID_PLAN":
		field = "plan"
	case "INVALID_WEIGHT":
		field = "weight"
	default:
		return fault.New(codes.FailedPrecondition, refused.Reason, "%s", refused.Message)
	}

	invalid := fault.Invalid(fault.Violation{Field: field, Message: refused.Message})
	invalid.Reason = refused.Reason

	return invalid
}
