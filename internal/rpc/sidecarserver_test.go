package rpc_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
)

// besideEnvoy serves as a process does that has an Envoy beside it, on an address.
func besideEnvoy(t *testing.T, address string) string {
	t.Helper()

	server, err := rpc.NewServer(rpc.ServerConfig{
		Credentials: rpc.Credentials{Sidecar: rpctest.Identity(t, rpc.Context)}, Policy: policy(), StopTimeout: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}

	register(&store{})(server)

	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan error, 1)

	go func() { ran <- server.Run(ctx, listener) }()

	t.Cleanup(func() {
		stop()

		if err := <-ran; err != nil {
			t.Error(err)
		}
	})

	return listener.Addr().String()
}

// envoy connects as the one beside the process does.
func envoy(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()

	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = connection.Close() })

	return connection
}

func TestTheSidecarSaysWhoCalls(t *testing.T) {
	connection := envoy(t, besideEnvoy(t, "127.0.0.1:0"))

	says := func(name string) string { return "By=x;Hash=y;Subject=\"\";URI=" + rpctest.Identity(t, name).String() }

	for title, test := range map[string]struct {
		header string
		code   codes.Code
		words  string
	}{
		"verified":                {says("billing"), codes.OK, ""},
		"verified and forged":     {says(rpc.Gateway) + "," + says("billing"), codes.OK, ""},
		"who may not":             {says(rpc.Tools), codes.PermissionDenied, "METHOD_NOT_ALLOWED"},
		"forged alone":            {says("billing") + "," + says(rpc.Tools), codes.PermissionDenied, "METHOD_NOT_ALLOWED"},
		"of another namespace":    {says("spiffe://cluster.local/ns/other/sa/billing"), codes.PermissionDenied, "METHOD_NOT_ALLOWED"},
		"of another trust domain": {says("spiffe://example.org/ns/default/sa/billing"), codes.PermissionDenied, "METHOD_NOT_ALLOWED"},
		"nobody":                  {"", codes.Unauthenticated, "NO_IDENTITY"},
		"malformed":               {"URI=", codes.Unauthenticated, "NO_IDENTITY"},
	} {
		t.Run(title, func(t *testing.T) {
			ctx := t.Context()
			if test.header != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "x-forwarded-client-cert", test.header)
			}

			turn, err := getTurn(ctx, connection, "t1")
			if got := fault.CodeOf(err); err != nil && got != test.code || err == nil && test.code != codes.OK {
				t.Fatalf("got %v, want %s", err, test.code)
			}

			if err == nil && turn.GetUser() != rpctest.Identity(t, "billing").String() {
				t.Errorf("taken for %s", turn.GetUser())
			}

			if err != nil && fault.From(err).Reason != test.words {
				t.Errorf("got %v, want %s", err, test.words)
			}
		})
	}
}

func TestWhoComesAroundTheSidecarIsRefused(t *testing.T) {
	outside := outsideAddress(t)
	_, port, _ := net.SplitHostPort(besideEnvoy(t, net.JoinHostPort(outside, "0")))
	connection := envoy(t, net.JoinHostPort(outside, port))

	ctx := metadata.AppendToOutgoingContext(soon(t, 5*time.Second), "x-forwarded-client-cert",
		"URI="+rpctest.Identity(t, "billing").String())
	if _, err := getTurn(ctx, connection, "t1"); grpcCode(err) != codes.Unavailable {
		t.Errorf("got %v, want that the connection is refused", err)
	}
}

// outsideAddress is one of this machine's that is not the loopback: connections to it come from it as well.
func outsideAddress(t *testing.T) string {
	t.Helper()

	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}

	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.IsGlobalUnicast() {
			return network.IP.String()
		}
	}

	t.Skip("this machine has no address but the loopback")

	return ""
}

func TestClientsBesideASidecarArePlain(t *testing.T) {
	beside := rpc.ClientConfig{Credentials: rpc.Credentials{Sidecar: rpctest.Identity(t, "billing")}}

	connection, err := rpc.Dial(besideEnvoy(t, "127.0.0.1:0"), rpctest.Identity(t, rpc.Context), beside)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()

	// It arrives in plain text; who it is would be the Envoys' to say.
	if _, err := getTurn(t.Context(), connection, "t1"); fault.CodeOf(err) != codes.Unauthenticated ||
		!strings.Contains(err.Error(), "the sidecar has verified") {
		t.Errorf("got %v", err)
	}

	if _, err := rpc.Dial(rpc.Target("default", rpc.Context), rpctest.Identity(t, rpc.Context), beside); err == nil ||
		!strings.Contains(err.Error(), "dial a dns target") {
		t.Errorf("a target of the mesh: %v", err)
	}

	if _, err := rpc.NewServer(rpc.ServerConfig{Credentials: beside.Credentials, Mesh: true}); err == nil ||
		!strings.Contains(err.Error(), "Mesh must be false") {
		t.Errorf("a server of the mesh: %v", err)
	}
}
