package configload

import (
	"errors"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

// wrongError is a source that stays wrong however often it is asked.
type wrongError struct{ error }

func (e *wrongError) Unwrap() error { return e.error }

// missingError is a source that has nothing.
type missingError struct{ error }

func (e *missingError) Unwrap() error { return e.error }

// tell makes the one line about a part: which, from where, and what is wrong.
func tell(part, place string, err error) error {
	code, reason := codes.Unavailable, "SOURCE_UNREACHABLE"

	wrong, missing := (*wrongError)(nil), (*missingError)(nil)

	switch {
	case errors.As(err, &missing):
		code, reason = codes.NotFound, "SOURCE_MISSING"
	case errors.As(err, &wrong):
		code, reason = codes.InvalidArgument, "CONFIG_INVALID"
	}

	return fault.New(code, reason, "%s: %s: %s", part, place, line(err))
}

// line is an error's text without line breaks.
func line(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
