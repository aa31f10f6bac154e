package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

func TestMain(m *testing.M) {
	if os.Getenv(rootVariable) == "" {
		os.Exit(runInMesh())
	}

	// The bootstrap's certificates are watched for as long as the process lives.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("google.golang.org/grpc/credentials/tls/certprovider/pemfile.(*watcher).run"))
}

// store is a ContextService that behaves as each test needs.
type store struct {
	contextv1.UnimplementedContextServiceServer

	unavailable atomic.Int32 // so many calls of GetTurn are refused first
	calls       atomic.Int32
}

// GetTurn answers with what the server knows about the call, or fails as the turn's id asks for.
func (s *store) GetTurn(ctx context.Context, request *contextv1.GetTurnRequest) (*contextv1.GetTurnResponse, error) {
	s.calls.Add(1)

	if s.unavailable.Add(-1) >= 0 {
		return nil, fault.New(codes.Unavailable, "DRAINING", "not now")
	}

	switch request.GetTurnId() {
	case "panic":
		panic("secret")
	case "plain":
		return nil, errors.New("disk full")
	case "fault":
		return nil, fmt.Errorf("wrapped: %w", fault.New(codes.FailedPrecondition, "STALE_EPOCH", "epoch 3 is over").
			With("epoch", "4").After(time.Second))
	case "hang":
		<-ctx.Done()

		return nil, ctx.Err()
	}

	id, _ := rpc.Peer(ctx)
	deadline, _ := ctx.Deadline()

	return &contextv1.GetTurnResponse{Turn: &contextv1.Turn{
		TurnId: request.GetTurnId(), User: id.String(), Agent: time.Until(deadline).Round(time.Second).String(),
	}}, nil
}

func (s *store) ListResumableTurns(
	context.Context, *contextv1.ListResumableTurnsRequest,
) (*contextv1.ListResumableTurnsResponse, error) {
	return &contextv1.ListResumableTurnsResponse{}, nil
}

func (s *store) PutState(_ context.Context, request *contextv1.PutStateRequest) (*contextv1.PutStateResponse, error) {
	return &contextv1.PutStateResponse{Version: int64(len(request.GetValue()))}, nil
}

// FollowEvents runs until its caller goes away.
func (s *store) FollowEvents(
	request *contextv1.FollowEventsRequest, stream grpc.ServerStreamingServer[contextv1.FollowEventsResponse],
) error {
	switch request.GetConversationId() {
	case "panic":
		panic("secret")
	case "plain":
		return errors.New("disk full")
	}

	for {
		if err := stream.Send(&contextv1.FollowEventsResponse{}); err != nil {
			return err
		}

		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-time.After(time.Millisecond):
		}
	}
}

func (s *store) Publish(
	stream grpc.ClientStreamingServer[contextv1.PublishRequest, contextv1.PublishResponse],
) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

// policy leaves most methods out: they are denied.
func policy() rpc.Policy {
	return rpc.Policy{
		contextv1.ContextService_GetTurn_FullMethodName:            rpc.AnyOf(rpc.AnyAgent, rpc.Names(rpc.Gateway)),
		contextv1.ContextService_ListResumableTurns_FullMethodName: rpc.Names(rpc.Gateway),
		contextv1.ContextService_PutState_FullMethodName:           rpc.AnyWorkload,
		contextv1.ContextService_FollowEvents_FullMethodName:       rpc.AnyAgent,
		contextv1.ContextService_Publish_FullMethodName:            rpc.AnyAgent,
	}
}

func register(store *store) func(grpc.ServiceRegistrar) {
	return func(registrar grpc.ServiceRegistrar) { contextv1.RegisterContextServiceServer(registrar, store) }
}

func expectFault(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()

	if got := fault.From(err); err == nil || got.Code != code || got.Reason != reason {
		t.Errorf("got %v, want %s (%s)", err, code, reason)
	}
}
