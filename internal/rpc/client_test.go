package rpc_test

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
)

// foreignClient is one that Serin did not make: no deadlines, no retries.
func foreignClient(t *testing.T, rig *rpctest.Rig) *grpc.ClientConn {
	t.Helper()

	tls := rig.CA.Credentials(t, "billing").ClientTLS(rig.Identity)

	connection, err := grpc.NewClient(rig.Addr, grpc.WithTransportCredentials(credentials.NewTLS(tls)))
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = connection.Close() })

	return connection
}

func TestUnavailableIsTriedAgain(t *testing.T) {
	service := &store{}
	service.unavailable.Store(3)

	dial := rpctest.Serve(t, rpc.Context, policy(), register(service))
	if _, err := getTurn(t.Context(), dial(t, "billing"), "t1"); err != nil || service.calls.Load() != 4 {
		t.Errorf("%d calls, %v, want 3 refused and 1 answered", service.calls.Load(), err)
	}
}

func TestRetriesEnd(t *testing.T) {
	service := &store{}
	service.unavailable.Store(100)

	dial := rpctest.Serve(t, rpc.Context, policy(), register(service))

	_, err := getTurn(t.Context(), dial(t, "billing"), "t1")
	expectFault(t, err, codes.Unavailable, "DRAINING")

	if got := service.calls.Load(); got != 5 {
		t.Errorf("%d calls, want 5", got)
	}
}

func TestDeadlineOfTheClientHolds(t *testing.T) {
	rig := rpctest.Start(t, rpc.Context, policy(), register(&store{}))

	connection, err := rpc.Dial(rig.Addr, rig.Identity,
		rpc.ClientConfig{Credentials: rig.CA.Credentials(t, "billing"), UnaryTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()

	if _, err := getTurn(t.Context(), connection, "hang"); grpcCode(err) != codes.DeadlineExceeded {
		t.Errorf("got %v, want DEADLINE_EXCEEDED", err)
	}
}

// generation is one process behind a listening socket that outlives it.
type generation struct {
	stop context.CancelFunc
	done chan error
}

func startGeneration(t *testing.T, ca *rpctest.CA, socket *net.TCPListener) *generation {
	t.Helper()

	server, err := rpc.NewServer(rpc.ServerConfig{
		Credentials: ca.Credentials(t, rpc.Context), Policy: policy(), StopTimeout: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}

	register(&store{})(server)

	file, err := socket.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()

	listener, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	started := &generation{stop: stop, done: make(chan error, 1)}

	go func() { started.done <- server.Run(ctx, listener) }()

	return started
}

func (g *generation) end(t *testing.T) {
	t.Helper()
	g.stop()

	if err := <-g.done; err != nil {
		t.Error(err)
	}
}

func TestCallsSurviveARestartBehindTheSameSocket(t *testing.T) {
	ca := rpctest.NewCA(t)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()

	connection, err := rpc.Dial(listener.Addr().String(), rpctest.Identity(t, rpc.Context),
		rpc.ClientConfig{Credentials: ca.Credentials(t, "billing")})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()

	connection.Connect()

	for range 3 {
		answered := make(chan error, 1)

		go func() { // nobody accepts yet
			_, err := getTurn(t.Context(), connection, "t1")
			answered <- err
		}()

		select {
		case err := <-answered:
			t.Fatalf("answered by nobody: %v", err)
		case <-time.After(100 * time.Millisecond): // the process takes that long to start
		}

		socket, _ := listener.(*net.TCPListener)
		process := startGeneration(t, ca, socket)
		started := time.Now()

		if err := <-answered; err != nil {
			t.Error(err)
		}

		if took := time.Since(started); took > 3*time.Second {
			t.Errorf("recovered only after %s", took)
		}

		process.end(t)
	}
}

func TestDialNeedsCredentials(t *testing.T) {
	if _, err := rpc.Dial("127.0.0.1:1", rpctest.Identity(t, rpc.Context), rpc.ClientConfig{}); err == nil {
		t.Error("dialed without credentials")
	}
}

func TestOnlyContextServiceIsTriedAgain(t *testing.T) {
	rig := rpctest.Start(t, rpc.Context, policy(), register(&store{}))
	connection := rig.Dial(t, "billing")

	if _, err := getTurn(t.Context(), connection, "t1"); err != nil { // the configuration is there once it is connected
		t.Fatal(err)
	}

	if config := connection.GetMethodConfig(contextv1.ContextService_Append_FullMethodName); config.RetryPolicy == nil {
		t.Error("Append is idempotent by request id, but not tried again")
	}

	for _, method := range []string{
		contextv1.ContextService_FollowEvents_FullMethodName, "/serin.tools.v1.ToolExecuteService/Execute",
		"/serin.handoff.v1.HandoffService/Handoff",
	} {
		if config := connection.GetMethodConfig(method); config.RetryPolicy != nil {
			t.Errorf("%s is tried again", method)
		}
	}
}
