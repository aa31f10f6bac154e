package xds

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/serinhq/serin/mesh/identity"
)

// Clients, servers and their streams to the control plane outlive the certificates that they began with.
func TestCertificatesAreRotated(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until certificates expire")
	}

	const lifetime = 4 * time.Second

	m := startMeshOf(t, identity.CAConfig{Lifetime: lifetime}, 50*time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	renewed := make(chan error, 1)

	go func() { renewed <- m.ca.Run(ctx) }()

	t.Cleanup(func() {
		cancel()
		m.must(<-renewed)
	})

	// Connections are made anew all the time, with what both sides have by then.
	b := m.one(grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 300 * time.Millisecond, MaxConnectionAgeGrace: time.Second}))
	connection := m.client("gateway")
	first := shown(t, connection)
	load := m.load(connection)

	time.Sleep(time.Until(first.Add(lifetime / 2))) // the clock of certificates is the machine's
	load.check(t)

	if last := shown(t, connection); !last.After(first.Add(lifetime / 2)) {
		t.Errorf("the server shows a certificate until %v, at first it was until %v", last, first)
	}

	// The control plane demands a certificate of whoever comes back, and shows one of its own.
	m.stop()
	m.start(m.address)
	eventually(t, "client and server are back", func() bool { return len(m.server.open()) == 2 })
	m.apply(workload("a", b.port, false))
	eventually(t, "changes arrive", func() bool {
		var answer wrapperspb.StringValue

		return connection.Invoke(t.Context(), echoMethod, wrapperspb.String(""), &answer) != nil
	})
}

// shown is when the certificate expires that a server shows.
func shown(t *testing.T, connection *grpc.ClientConn) time.Time {
	t.Helper()

	var (
		answer wrapperspb.StringValue
		server peer.Peer
	)

	if err := connection.Invoke(t.Context(), echoMethod, wrapperspb.String(""), &answer, grpc.WaitForReady(true), grpc.Peer(&server)); err != nil {
		t.Fatal(err)
	}

	return server.AuthInfo.(credentials.TLSInfo).State.PeerCertificates[0].NotAfter
}
