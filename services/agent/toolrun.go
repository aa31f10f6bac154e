package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/fault"
)

// ran is what running one call came to.
type ran struct {
	call call
	// result is what tools answered; the store has it unless it is OUTCOME_UNKNOWN.
	result *eventv1.ToolResult
	err    error
}

// runCalls runs calls side by side and notes their results in the order of the calls.
func (x *execution) runCalls(next runCalls) error {
	if err := x.flush(); err != nil { // a call must be in the log before it runs
		return err
	}

	all := make([]ran, len(next.calls))

	var group errgroup.Group
	group.SetLimit(x.service.config.MaxToolParallel)

	for i, call := range next.calls {
		group.Go(func() error {
			all[i] = x.runCall(call)

			return nil
		})
	}

	_ = group.Wait() // each call has its own error

	var failed error

	for _, ran := range all {
		if err := x.note(ran); failed == nil {
			failed = err
		}
	}

	return failed
}

// runCall runs one call and tries again while that may help; a call id takes effect at most once.
func (x *execution) runCall(c call) ran {
	tool, _ := x.rules.tools.find(c.Tool)
	request := &toolsv1.ExecuteRequest{
		ConversationId: x.tenure.conversation, TurnId: x.tenure.turnID, Epoch: x.tenure.ref().GetEpoch(),
		Call: &eventv1.ToolCall{CallId: c.ID, Tool: c.Tool, Arguments: c.Arguments}, NeedsApproval: tool.approval,
	}

	for wait, broken := 20*time.Millisecond, 0; ; wait = min(2*wait, time.Second) {
		result, err := x.executeCall(request)
		if err == nil {
			return ran{call: c, result: result}
		}

		if x.work.Err() != nil {
			return ran{call: c, err: x.cause()}
		}

		if !again(err) {
			if broken++; broken > 2 || fault.From(err).Reason != reasonInternal {
				return ran{call: c, err: err}
			}
		}

		pause(x.work, max(wait, fault.From(err).RetryAfter))
	}
}

// again reports whether tools may answer later.
func again(err error) bool { return retryable(err) || fault.Is(err, "TOOL_BUSY") }

func (x *execution) executeCall(request *toolsv1.ExecuteRequest) (*eventv1.ToolResult, error) {
	ctx, cancel := context.WithCancel(x.work)
	defer cancel()

	stream, err := x.service.config.Tools.Execute(ctx, request)
	if err != nil {
		return nil, fault.From(err)
	}

	for { // progress is shown by tools itself
		report, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, fault.New(codes.Unavailable, "TOOL_STREAM_CUT", "tools ended the call without a result")
		}

		if err != nil {
			return nil, fault.From(err)
		}

		if result := report.GetResult(); result != nil {
			return result, nil
		}
	}
}

// note folds a call's result, which the store has already, or what to do without one.
func (x *execution) note(ran ran) error {
	if ran.err != nil {
		return x.noteError(ran)
	}

	if ran.result.GetOutcome() == eventv1.ToolResult_OUTCOME_UNKNOWN {
		x.state.call(ran.call.ID).unknown = true

		return nil
	}

	x.state.apply(&eventv1.Event{Kind: &eventv1.Event_ToolResult{ToolResult: ran.result}})

	return nil
}

func (x *execution) noteError(ran ran) error {
	known := fault.From(ran.err)

	switch {
	case fault.Is(ran.err, "APPROVAL_REQUIRED"):
		x.state.call(ran.call.ID).guarded = true
	case fault.Is(ran.err, "CALL_REJECTED"):
		x.emit(x.step(), resultEvent(settled{ran.call, eventv1.ToolResult_OUTCOME_REJECTED, textRejected}))
	case fault.Is(ran.err, "TOOL_UNKNOWN", "TOOL_NOT_ALLOWED") || fault.Is(ran.err, "INVALID"):
		x.service.tools.expire()

		if call := x.state.call(ran.call.ID); call.Started { // by a tool service that knew the tool
			call.unknown = true

			return nil
		}

		x.emit(x.step(), resultEvent(settled{ran.call, eventv1.ToolResult_OUTCOME_ERROR, known.Message}))
	case fault.Is(ran.err, "CANCEL_REQUESTED"):
		return x.awaitCancel()
	case lostTurn(ran.err) || x.work.Err() != nil:
		return ran.err
	default:
		return &failure{fail{
			reason: reasonInternal, message: fmt.Sprintf("the tool %s could not be run: %s", ran.call.Tool, known.Message),
		}}
	}

	return nil
}

// awaitCancel waits for the renewal to say who cancelled the turn: tools heard of it first.
func (x *execution) awaitCancel() error {
	pause(x.work, x.service.config.LeaseTTL)

	if x.work.Err() == nil {
		return errCancelled
	}

	return x.cause()
}
