package contextstore

import (
	"time"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// claimed is what ClaimCall decides: the call after it, the answer, and whether the tool starts (again).
type claimed struct {
	call   Call
	status contextv1.ClaimCallResponse_Status
	starts bool
}

// claim decides whether a call may take effect. The process that claimed it may renew whatever became of the turn: the
// effect goes on, and nobody else may take the call for lost meanwhile.
func claim(turn Turn, call Call, request *contextv1.ClaimCallRequest, now time.Time) (claimed, error) {
	if err := call.same(turn, request); err != nil {
		return claimed{}, err
	}

	if call.State == CallClaimed && call.Holder == request.GetHolder() {
		return claimed{call: call.held(request, now), status: contextv1.ClaimCallResponse_STATUS_GRANTED}, nil
	}

	if err := turn.held(request.GetLease()); err != nil {
		return claimed{}, err
	}

	switch call.State {
	case CallCompleted:
		return claimed{call: call, status: contextv1.ClaimCallResponse_STATUS_COMPLETED}, nil
	case CallUnknown:
		return claimed{call: call, status: contextv1.ClaimCallResponse_STATUS_OUTCOME_UNKNOWN}, nil
	case CallClaimed:
		return call.contested(turn, request, now)
	case CallProposed:
		break
	}

	return call.start(turn, request, now)
}

// same checks that the request means the call that is in the log.
func (c Call) same(turn Turn, request *contextv1.ClaimCallRequest) error {
	if c.ID == "" || c.TurnID != turn.GetTurnId() || c.Tool != request.GetTool() {
		return notProposed(request.GetCallId())
	}

	if c.Agent != request.GetAgent() {
		return fault.New(codes.FailedPrecondition, "CALL_NOT_PROPOSED", "call %s was proposed by agent %q, not by %q",
			c.ID, c.Agent, request.GetAgent()).With("agent", c.Agent)
	}

	if c.ArgumentsDigest != request.GetArgumentsDigest() {
		return fault.New(codes.FailedPrecondition, "ARGUMENTS_CHANGED",
			"call %s: the arguments are not those in the log (sha256 %s)", c.ID, c.ArgumentsDigest)
	}

	return nil
}

// contested decides about a call that another process claimed.
func (c Call) contested(turn Turn, request *contextv1.ClaimCallRequest, now time.Time) (claimed, error) {
	if c.ExpiresAt.After(now) {
		return claimed{call: c, status: contextv1.ClaimCallResponse_STATUS_IN_PROGRESS}, nil
	}

	if c.Idempotent && request.GetIdempotent() {
		return c.start(turn, request, now)
	}

	c.State = CallUnknown

	return claimed{call: c, status: contextv1.ClaimCallResponse_STATUS_OUTCOME_UNKNOWN}, nil
}

// start lets the call take effect, unless humans or the turn say otherwise.
func (c Call) start(turn Turn, request *contextv1.ClaimCallRequest, now time.Time) (claimed, error) {
	switch {
	case turn.GetCancelRequested():
		return claimed{}, fault.New(codes.FailedPrecondition, "CANCEL_REQUESTED", "turn %s is being cancelled",
			turn.GetTurnId())
	case c.Approval.Decision == eventv1.Decision_DECISION_REJECT:
		return claimed{}, fault.New(codes.FailedPrecondition, "CALL_REJECTED", "call %s was rejected by a human", c.ID)
	case c.Approval.Decision != eventv1.Decision_DECISION_APPROVE && (request.GetNeedsApproval() || c.Approval.Asked):
		return claimed{}, fault.New(codes.FailedPrecondition, "APPROVAL_REQUIRED", "call %s needs a human's approval", c.ID)
	}

	return claimed{
		call: c.held(request, now), status: contextv1.ClaimCallResponse_STATUS_GRANTED, starts: true,
	}, nil
}

// held returns the call as claimed by whoever asks.
func (c Call) held(request *contextv1.ClaimCallRequest, now time.Time) Call {
	c.State, c.Holder, c.Idempotent = CallClaimed, request.GetHolder(), request.GetIdempotent()
	c.ExpiresAt = now.Add(request.GetTtl().AsDuration())

	return c
}

// event returns an event about the call, as the store appends it.
func (c Call) event(turn Turn) *eventv1.Event {
	return &eventv1.Event{
		TurnId: c.TurnID, Agent: c.Agent, Revision: c.Revision, Epoch: turn.GetEpoch(), Segment: c.Segment, Step: c.Step,
	}
}

// answer tells the caller of ClaimCall what was decided.
func (c claimed) answer() *contextv1.ClaimCallResponse {
	response := &contextv1.ClaimCallResponse{Status: c.status}

	switch c.status {
	case contextv1.ClaimCallResponse_STATUS_COMPLETED:
		response.Result = c.call.Result
	case contextv1.ClaimCallResponse_STATUS_IN_PROGRESS, contextv1.ClaimCallResponse_STATUS_GRANTED:
		response.ExpiresAt = timestamp(c.call.ExpiresAt)
	case contextv1.ClaimCallResponse_STATUS_UNSPECIFIED, contextv1.ClaimCallResponse_STATUS_OUTCOME_UNKNOWN:
		break
	}

	return response
}
