package rpctest

import (
	"net"
	"testing"

	"google.golang.org/grpc"

	"github.com/serinhq/serin/internal/rpc"
)

// Rig is a server that runs until its test ends.
type Rig struct {
	Server *rpc.Server
	CA     *CA
	// Identity is the server's.
	Identity rpc.Identity
	// Addr is where it listens: a port of 127.0.0.1.
	Addr string
}

// Start serves what register registers, as the identity name, on a free port of 127.0.0.1. Server, connections and
// listener are closed when the test ends.
func Start(tb testing.TB, name string, policy rpc.Policy, register func(grpc.ServiceRegistrar)) *Rig {
	tb.Helper()

	return StartConfig(tb, name, rpc.ServerConfig{Policy: policy}, register)
}

// StartConfig is Start with more to say about the server. Credentials are made if there are none.
func StartConfig(tb testing.TB, name string, config rpc.ServerConfig, register func(grpc.ServiceRegistrar)) *Rig {
	tb.Helper()

	rig := &Rig{CA: NewCA(tb), Identity: Identity(tb, name)}
	if config.Credentials == (rpc.Credentials{}) {
		config.Credentials = rig.CA.Credentials(tb, name)
	}

	server, err := rpc.NewServer(config)
	if err != nil {
		tb.Fatal(err)
	}

	register(server)
	rig.Server = server
	rig.serve(tb)

	return rig
}

func (r *Rig) serve(tb testing.TB) {
	tb.Helper()

	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a local port in a test
	if err != nil {
		tb.Fatal(err)
	}

	r.Addr = listener.Addr().String()
	served := make(chan error, 1)

	go func() { served <- r.Server.Serve(listener) }()

	tb.Cleanup(func() {
		r.Server.Stop()

		if err := <-served; err != nil {
			tb.Errorf("serving: %v", err)
		}
	})
}

// Dial connects under an identity: a short name such as billing, or a whole SPIFFE ID.
func (r *Rig) Dial(tb testing.TB, as string) *grpc.ClientConn {
	tb.Helper()

	return r.DialWith(tb, r.CA.Credentials(tb, as))
}

// DialWith connects with credentials that may be anything.
func (r *Rig) DialWith(tb testing.TB, credentials rpc.Credentials) *grpc.ClientConn {
	tb.Helper()

	connection, err := rpc.Dial(r.Addr, r.Identity, rpc.ClientConfig{Credentials: credentials})
	if err != nil {
		tb.Fatal(err)
	}

	tb.Cleanup(func() { _ = connection.Close() })

	return connection
}

// Serve is Start for tests that only need to connect: dial connects under the identity that it is given.
func Serve(
	tb testing.TB, name string, policy rpc.Policy, register func(grpc.ServiceRegistrar),
) (dial func(tb testing.TB, as string) *grpc.ClientConn) {
	tb.Helper()

	return Start(tb, name, policy, register).Dial
}
