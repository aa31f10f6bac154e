package app

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

func TestExitCode(t *testing.T) {
	problems := agentspec.Problems{{File: "a.yaml", Line: 1, Column: 2, Field: "spec", Message: "wrong"}}

	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything"), 1},
		{usageErrorf("no"), 2},
		{fmt.Errorf("wrapped: %w", usageErrorf("no")), 2},
		{problems, 2},
		{errors.Join(problems, nil), 2},
		{fault.Invalid(fault.Violation{Field: "x", Message: "y"}), 2},
		{fault.New(codes.NotFound, "CONVERSATION_NOT_FOUND", "none"), 2},
		{fault.New(codes.FailedPrecondition, "PORT_TAKEN", "taken"), 2},
		{fault.New(codes.FailedPrecondition, "TURN_IN_PROGRESS", "one at a time"), 1},
		{fault.New(codes.Unavailable, "UNREACHABLE", "gone"), 1},
		{fault.New(codes.Internal, "PANIC", "oh"), 1},
	} {
		if got := ExitCode(test.err); got != test.want {
			t.Errorf("%v: %d, want %d", test.err, got, test.want)
		}
	}
}

func TestPrintError(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{errors.New("anything"), "serin: anything\n"},
		{errors.New("a \x1b[31mred\x1b[0m lie"), "serin: a [31mred[0m lie\n"},
		{
			agentspec.Problems{{File: "a.yaml", Line: 1, Column: 2, Field: "spec", Message: "wrong"}, {Message: "none"}},
			"a.yaml:1:2: spec: wrong\nnone\n",
		},
	} {
		stderr := &strings.Builder{}
		(&Env{Stderr: stderr}).PrintError(test.err)

		if stderr.String() != test.want {
			t.Errorf("%q, want %q", stderr, test.want)
		}
	}
}
