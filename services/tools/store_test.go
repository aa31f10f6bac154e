package tools

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// memoryStore keeps claims as ContextService promises to.
type memoryStore struct {
	contextv1.ContextServiceClient // the other methods are not for tools

	mu      sync.Mutex
	epochs  map[string]int64 // by turn; absent means anything goes
	claims  map[string]*claimRow
	approve map[string]bool // calls that a human approved
	// trouble is asked before (applied false) and after a method took effect; its error is what the caller sees.
	trouble func(method string, applied bool) error
}

type claimRow struct {
	digest, holder string
	idempotent     bool
	expires        time.Time
	unknown        bool
	result         *eventv1.ToolResult
	started        int // tool_started events
	renewed        int
}

func newMemoryStore() *memoryStore {
	return &memoryStore{epochs: map[string]int64{}, claims: map[string]*claimRow{}, approve: map[string]bool{}}
}

func (m *memoryStore) ClaimCall(
	ctx context.Context, request *contextv1.ClaimCallRequest, _ ...grpc.CallOption,
) (*contextv1.ClaimCallResponse, error) {
	if err := m.ask("ClaimCall", false); err != nil {
		return nil, err
	}

	answer, err := m.claim(ctx, request)
	if err != nil {
		return nil, err
	}

	if err := m.ask("ClaimCall", true); err != nil {
		return nil, err
	}

	return answer, nil
}

func (m *memoryStore) claim(ctx context.Context, request *contextv1.ClaimCallRequest) (*contextv1.ClaimCallResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()

	if ctx.Err() != nil {
		return nil, ctx.Err()
	}

	if epoch, known := m.epochs[request.GetLease().GetTurnId()]; known && request.GetLease().GetEpoch() != epoch {
		return nil, fault.New(codes.FailedPrecondition, "STALE_EPOCH", "the turn is at epoch %d", epoch)
	}

	if request.GetNeedsApproval() && !m.approve[request.GetCallId()] {
		return nil, fault.New(codes.FailedPrecondition, "APPROVAL_REQUIRED", "call %s needs a human's approval", request.GetCallId())
	}

	row, known := m.claims[request.GetCallId()]
	if known && row.digest != request.GetArgumentsDigest() {
		return nil, fault.New(codes.FailedPrecondition, "ARGUMENTS_CHANGED", "call %s has other arguments", request.GetCallId())
	}

	if !known {
		row = &claimRow{digest: request.GetArgumentsDigest()}
		m.claims[request.GetCallId()] = row
	}

	return row.decide(request, time.Now()), nil
}

func (r *claimRow) decide(request *contextv1.ClaimCallRequest, now time.Time) *contextv1.ClaimCallResponse {
	live := now.Before(r.expires)

	switch {
	case r.result != nil:
		return &contextv1.ClaimCallResponse{
			Status: contextv1.ClaimCallResponse_STATUS_COMPLETED, Result: proto.CloneOf(r.result),
		}
	case r.unknown:
		return &contextv1.ClaimCallResponse{Status: contextv1.ClaimCallResponse_STATUS_OUTCOME_UNKNOWN}
	case r.holder == request.GetHolder():
		r.renewed++
	case live:
		return &contextv1.ClaimCallResponse{
			Status: contextv1.ClaimCallResponse_STATUS_IN_PROGRESS, ExpiresAt: timestamppb.New(r.expires),
		}
	case r.holder != "" && !r.idempotent:
		r.unknown = true

		return &contextv1.ClaimCallResponse{Status: contextv1.ClaimCallResponse_STATUS_OUTCOME_UNKNOWN}
	default:
		r.started++
	}

	r.holder, r.idempotent, r.expires = request.GetHolder(), request.GetIdempotent(), now.Add(request.GetTtl().AsDuration())

	return &contextv1.ClaimCallResponse{Status: contextv1.ClaimCallResponse_STATUS_GRANTED}
}

func (m *memoryStore) CompleteCall(
	ctx context.Context, request *contextv1.CompleteCallRequest, _ ...grpc.CallOption,
) (*contextv1.CompleteCallResponse, error) {
	if err := m.ask("CompleteCall", false); err != nil {
		return nil, err
	}

	if err := m.record(ctx, request); err != nil {
		return nil, err
	}

	if err := m.ask("CompleteCall", true); err != nil {
		return nil, err
	}

	return &contextv1.CompleteCallResponse{}, nil
}

func (m *memoryStore) record(ctx context.Context, request *contextv1.CompleteCallRequest) error {
	m.mu.Lock()
	defer m.mu.Unlock()

	if ctx.Err() != nil {
		return ctx.Err()
	}

	row := m.claims[request.GetResult().GetCallId()]
	if row == nil || row.holder != request.GetHolder() {
		return fault.New(codes.FailedPrecondition, "CLAIM_NOT_HELD", "call is not claimed by %s", request.GetHolder())
	}

	if row.result == nil {
		row.result = proto.CloneOf(request.GetResult())
	}

	return nil
}

func (m *memoryStore) ask(method string, applied bool) error {
	m.mu.Lock()
	trouble := m.trouble
	m.mu.Unlock()

	if trouble == nil {
		return nil
	}

	return trouble(method, applied)
}

func (m *memoryStore) setTrouble(trouble func(method string, applied bool) error) {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.trouble = trouble
}

// row returns a copy of a claim; a zero one if there is none.
func (m *memoryStore) row(call string) claimRow {
	m.mu.Lock()
	defer m.mu.Unlock()

	if row := m.claims[call]; row != nil {
		return *row
	}

	return claimRow{}
}

func (m *memoryStore) setEpoch(turn string, epoch int64) {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.epochs[turn] = epoch
}

func (m *memoryStore) setApproved(call string) {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.approve[call] = true
}
