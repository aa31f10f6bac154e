package contextstore

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"google.golang.org/grpc/codes"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// propose adds the calls that a message asks for.
func (p *projection) propose(event *eventv1.Event) error {
	for _, call := range event.GetAgentMessage().GetToolCalls() {
		if _, exists := p.calls[call.GetCallId()]; exists {
			return fault.New(codes.FailedPrecondition, "CALL_EXISTS", "call %s is in the log already", call.GetCallId())
		}

		p.keep(Call{
			ConversationID: p.conversation.ID, ID: call.GetCallId(), TurnID: event.GetTurnId(), Tool: call.GetTool(),
			ArgumentsDigest: argumentsDigest(call.GetArguments()),
			Agent:           event.GetAgent(), Revision: event.GetRevision(), Segment: event.GetSegment(), Step: event.GetStep(),
			State: CallProposed,
		})
	}

	return nil
}

// record takes a result that an agent knows without a tool: a call that never ran, or whose outcome a human knew.
func (p *projection) record(event *eventv1.Event) error {
	result := event.GetToolResult()

	call, err := p.call(result.GetCallId())
	if err != nil {
		return err
	}

	if err := call.recordable(result, p.now); err != nil {
		return err
	}

	call.Holder = ""
	p.keep(call.completed(result, event.GetSequence()))

	return nil
}

// call returns a call of the turn. Errors: FAILED_PRECONDITION (CALL_NOT_PROPOSED).
func (p *projection) call(id string) (Call, error) {
	call, exists := p.calls[id]
	if !exists || call.TurnID != p.turn.GetTurnId() {
		return Call{}, notProposed(id)
	}

	return call, nil
}

// recordable decides whether an agent may say what a call came to.
func (c Call) recordable(result *eventv1.ToolResult, now time.Time) error {
	known := c.Outcome.Decision != eventv1.Decision_DECISION_UNSPECIFIED ||
		result.GetOutcome() == eventv1.ToolResult_OUTCOME_UNKNOWN

	switch {
	case c.State == CallCompleted:
		return fault.New(codes.FailedPrecondition, "CALL_COMPLETED", "call %s has its result already", c.ID)
	case c.State == CallClaimed && c.ExpiresAt.After(now):
		return fault.New(codes.FailedPrecondition, "CALL_IN_PROGRESS", "call %s is run by %s until %s", c.ID, c.Holder,
			c.ExpiresAt.Format(time.RFC3339Nano)).With("holder", c.Holder).After(c.ExpiresAt.Sub(now))
	case c.State != CallProposed && !known:
		return fault.New(codes.FailedPrecondition, "OUTCOME_NOT_KNOWN",
			"call %s may have taken effect: ask a human, or record OUTCOME_UNKNOWN", c.ID)
	default:
		return nil
	}
}

// completed returns the call with its result.
func (c Call) completed(result *eventv1.ToolResult, sequence int64) Call {
	c.State, c.Result, c.ResultSequence = CallCompleted, result, sequence

	return c
}

// callIDs returns the calls that events name, so that their rows can be read first.
func callIDs(events []*eventv1.Event) []string {
	var ids []string

	for _, event := range events {
		switch kind := event.GetKind().(type) {
		case *eventv1.Event_AgentMessage:
			for _, call := range kind.AgentMessage.GetToolCalls() {
				ids = append(ids, call.GetCallId())
			}
		case *eventv1.Event_ToolResult:
			ids = append(ids, kind.ToolResult.GetCallId())
		case *eventv1.Event_InputRequested:
			ids = append(ids, kind.InputRequested.GetCallId())
		case *eventv1.Event_InputResolved:
			ids = append(ids, kind.InputResolved.GetCallId())
		case *eventv1.Event_TurnWaiting:
			ids = append(ids, kind.TurnWaiting.GetCallIds()...)
		}
	}

	return ids
}

func argumentsDigest(arguments string) string {
	sum := sha256.Sum256([]byte(arguments))

	return hex.EncodeToString(sum[:])
}

func notProposed(callID string) error {
	return fault.New(codes.FailedPrecondition, "CALL_NOT_PROPOSED",
		"call %s is not in the turn's log: append the message that asks for it first", callID)
}
