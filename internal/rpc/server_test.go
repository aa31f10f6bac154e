package rpc_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
	"github.com/serinhq/serin/internal/telemetry"
)

func grpcCode(err error) codes.Code { return status.Code(err) }

// logBuffer is a log that is written to while it is read.
type logBuffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (l *logBuffer) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.data.Write(data)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.data.String()
}

// eventually polls until the condition holds, for at most 10 s.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()

	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestErrorsOfHandlers(t *testing.T) {
	log := &logBuffer{}

	told, err := telemetry.New(telemetry.Options{Service: rpc.Context, Writer: log})
	if err != nil {
		t.Fatal(err)
	}

	rig := rpctest.StartConfig(t, rpc.Context, rpc.ServerConfig{Policy: policy(), Telemetry: told}, register(&store{}))
	agent := rig.Dial(t, "billing")

	_, err = getTurn(t.Context(), agent, "fault")
	expectFault(t, err, codes.FailedPrecondition, "STALE_EPOCH")

	if got := fault.From(err); got.Metadata["epoch"] != "4" || got.RetryAfter != time.Second {
		t.Errorf("the fault lost its details: %+v", got)
	}

	_, err = getTurn(t.Context(), agent, "plain")
	expectFault(t, err, codes.Internal, "INTERNAL")

	_, err = getTurn(t.Context(), agent, "panic")
	expectFault(t, err, codes.Internal, "PANIC")

	if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "goroutine") {
		t.Errorf("the panic got out: %v", err)
	}

	for _, conversation := range []string{"panic", "plain"} {
		if err := followOnce(t.Context(), agent, conversation); grpcCode(err) != codes.Internal {
			t.Errorf("stream %s: %v", conversation, err)
		}
	}

	for _, want := range []string{
		`"error":"disk full"`, `"panic":"secret"`, `"peer":"spiffe://cluster.local/ns/default/sa/billing"`,
		`"method":"/serin.context.v1.ContextService/GetTurn"`, `"trace_id":"`, `"service":"serin-context"`,
	} {
		eventually(t, "the log has "+want, func() bool { return strings.Contains(log.String(), want) })
	}
}

func followOnce(ctx context.Context, connection *grpc.ClientConn, conversation string) error {
	stream, err := contextv1.NewContextServiceClient(connection).
		FollowEvents(ctx, &contextv1.FollowEventsRequest{ConversationId: conversation})
	if err != nil {
		return err
	}

	_, err = stream.Recv()

	return err
}

func TestRequestsAreValidated(t *testing.T) {
	dial := rpctest.Serve(t, rpc.Context, policy(), register(&store{}))
	agent := contextv1.NewContextServiceClient(dial(t, "billing"))

	_, err := agent.PutState(t.Context(), &contextv1.PutStateRequest{Key: "k", ExpectedVersion: -1})
	expectFault(t, err, codes.InvalidArgument, "INVALID")

	violations := fault.From(err).Violations
	fields := make([]string, len(violations))

	for i, violation := range violations {
		fields[i] = violation.Field

		if violation.Message == "" {
			t.Errorf("%s: no word on what would be right", violation.Field)
		}
	}

	if got := strings.Join(fields, " "); got != "scope expected_version" {
		t.Errorf("bad fields: %s", got)
	}
}

func TestStreamedRequestsAreValidated(t *testing.T) {
	dial := rpctest.Serve(t, rpc.Context, policy(), register(&store{}))

	stream, err := contextv1.NewContextServiceClient(dial(t, "billing")).Publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	if err := stream.Send(&contextv1.PublishRequest{
		Lease: &contextv1.LeaseRef{TurnId: "t1"}, ConversationId: "c1", Events: []*eventv1.Event{{}},
	}); err != nil {
		t.Fatal(err)
	}

	_, err = stream.CloseAndRecv()
	expectFault(t, err, codes.InvalidArgument, "INVALID")

	if !strings.Contains(err.Error(), "lease.epoch") {
		t.Errorf("got %v, want lease.epoch named", err)
	}
}

func TestEveryUnaryCallHasADeadline(t *testing.T) {
	rig := rpctest.StartConfig(t, rpc.Context, rpc.ServerConfig{Policy: policy(), DefaultTimeout: 7 * time.Second},
		register(&store{}))

	turn, err := getTurn(t.Context(), rig.Dial(t, "billing"), "t1")
	if err != nil || turn.GetAgent() != "30s" {
		t.Errorf("our client's default: %s, %v, want 30s", turn.GetAgent(), err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()

	turn, err = getTurn(ctx, rig.Dial(t, "billing"), "t1")
	if err != nil || turn.GetAgent() != "3s" {
		t.Errorf("the caller's own: %s, %v, want 3s", turn.GetAgent(), err)
	}

	turn, err = getTurn(t.Context(), foreignClient(t, rig), "t1")
	if err != nil || turn.GetAgent() != "7s" {
		t.Errorf("a client without one: %s, %v, want the server's 7s", turn.GetAgent(), err)
	}
}

func TestMessagesUpTo8MiB(t *testing.T) {
	dial := rpctest.Serve(t, rpc.Context, policy(), register(&store{}))
	agent := contextv1.NewContextServiceClient(dial(t, "billing"))

	_, err := agent.PutState(t.Context(), &contextv1.PutStateRequest{Scope: "s", Key: "k", Value: make([]byte, 7<<20)})
	expectFault(t, err, codes.InvalidArgument, "INVALID") // it arrived, and breaks the field's own limit

	_, err = agent.PutState(t.Context(), &contextv1.PutStateRequest{Scope: "s", Key: "k", Value: make([]byte, 9<<20)})
	expectFault(t, err, codes.ResourceExhausted, "")
}

func TestRunDrains(t *testing.T) {
	ca := rpctest.NewCA(t)

	server, err := rpc.NewServer(rpc.ServerConfig{
		Credentials: ca.Credentials(t, rpc.Context), Policy: policy(), StopTimeout: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}

	register(&store{})(server)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()

	ran := make(chan error, 1)
	go func() { ran <- server.Run(ctx, listener) }()

	connection, err := rpc.Dial(listener.Addr().String(), rpctest.Identity(t, rpc.Context),
		rpc.ClientConfig{Credentials: ca.Credentials(t, "billing")})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()

	stream, err := contextv1.NewContextServiceClient(connection).
		FollowEvents(t.Context(), &contextv1.FollowEventsRequest{ConversationId: "c1"})
	if err != nil {
		t.Fatal(err)
	}

	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}

	stop()

	if err := <-ran; err != nil {
		t.Errorf("Run() = %v after an orderly stop", err)
	}

	for err == nil {
		_, err = stream.Recv()
	}

	if grpcCode(err) != codes.Unavailable {
		t.Errorf("the stream that did not end by itself: %v", err)
	}
}

func TestNewServerNeedsCredentials(t *testing.T) {
	if _, err := rpc.NewServer(rpc.ServerConfig{}); err == nil {
		t.Error("a server without credentials was made")
	}

	credentials := rpctest.NewCA(t).Credentials(t, rpc.Context)
	twice := rpc.Policy{"/grpc.health.v1.Health/Check": rpc.AnyAgent}

	if _, err := rpc.NewServer(rpc.ServerConfig{Credentials: credentials, Policy: twice}); err == nil {
		t.Error("a policy may not change what health allows")
	}
}
