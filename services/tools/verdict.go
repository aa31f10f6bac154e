package tools

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// maxAttempts bounds how often an idempotent call is sent to a server that ends while it runs.
const maxAttempts = 3

var errTimedOut = errors.New("timed out")

// verdict is what running a tool came to. With err, nothing is recorded and the caller is told to ask again.
type verdict struct {
	outcome eventv1.ToolResult_Outcome
	output  string
	err     error
}

func failed(output string) verdict {
	return verdict{outcome: eventv1.ToolResult_OUTCOME_ERROR, output: output}
}

// judge makes a verdict of what a tool answered: its output must keep the promise of its schema, and is cut to size.
func (t *tool) judge(answer reply) verdict {
	if answer.failed {
		return failed(cut(answer.text, t.maxOutput))
	}

	if err := t.checkOutput(answer); err != nil {
		return failed(fmt.Sprintf("The tool ran, but its result does not match its output schema: %s. It answered: %s",
			err, cut(answer.text, t.maxOutput)))
	}

	return verdict{outcome: eventv1.ToolResult_OUTCOME_OK, output: cut(answer.text, t.maxOutput)}
}

func (t *tool) checkOutput(answer reply) error {
	switch {
	case t.output == nil:
		return nil
	case answer.structured == nil:
		return errors.New("there is no structured content")
	default:
		return validate(t.output, answer.structured)
	}
}

// mayRepeat reports whether a call without an answer may be sent once more.
func (t *tool) mayRepeat(attempts int, err error) bool {
	return attempts < maxAttempts && (t.about.GetIdempotent() || errors.Is(err, errNotSent))
}

// explain makes a verdict of a call without an answer. Cause is why its context ended; nil if it did not. Whatever may
// have taken effect and must not run again is unknown.
func (t *tool) explain(err, cause error) verdict {
	timedOut := errors.Is(cause, errTimedOut)

	switch {
	case cause != nil && !timedOut && (t.about.GetIdempotent() || errors.Is(err, errNotSent)):
		return verdict{err: errDraining()}
	case errors.Is(err, errNotSent):
		return failed(fmt.Sprintf("The tool did not run: tool server %s can't be reached: %s", t.about.GetServer(), notSentReason(err)))
	case t.about.GetIdempotent() && timedOut:
		return failed(fmt.Sprintf("The tool timed out after %s.", t.timeout))
	case t.about.GetIdempotent():
		return failed("The tool failed: " + clip(err.Error(), maxProblem))
	default:
		return verdict{outcome: eventv1.ToolResult_OUTCOME_UNKNOWN, output: reason(t, err, cause)}
	}
}

// notSentReason is what came of an attempt to send a call, without what was tried.
func notSentReason(err error) string {
	return clip(strings.TrimPrefix(err.Error(), errNotSent.Error()+": "), maxProblem)
}

func reason(t *tool, err, cause error) string {
	switch {
	case errors.Is(cause, errTimedOut):
		return fmt.Sprintf("it did not answer within %s", t.timeout)
	case errors.Is(cause, context.Canceled):
		return "the tool service was shut down while it ran"
	default:
		return "its tool server stopped while it ran: " + clip(err.Error(), maxProblem)
	}
}

// errDraining has the caller ask again: the next process knows what became of the call, or finds out.
func errDraining() error {
	return fault.New(codes.Unavailable, "DRAINING", "the tool service is shutting down; ask again")
}

// unknown is the result of a call that may have taken effect. It is never recorded: a human is asked.
func (r *run) unknown(why string) *eventv1.ToolResult {
	return &eventv1.ToolResult{
		CallId: r.callID(), Tool: r.toolName(), Outcome: eventv1.ToolResult_OUTCOME_UNKNOWN,
		Output: fmt.Sprintf("Nobody knows whether %s took effect: %s. It is not run again.", r.toolName(), why),
	}
}
