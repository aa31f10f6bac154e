package identity_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/identity"
)

// house is an authority with directories for identities, and a server under one of them.
type house struct {
	ca     *identity.CA
	root   string // where the authority's root is
	dir    string // where each identity has a directory
	server rpc.Identity
	addr   string
}

func name(short string) rpc.Identity {
	return rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: "default", Name: short}
}

func newHouse(t *testing.T) *house {
	t.Helper()

	h := &house{root: filepath.Join(t.TempDir(), "ca"), dir: t.TempDir(), server: name(rpc.Context)}
	h.ca = open(t, h.root)
	_, h.addr = serve(t, h.credentials(t, h.ca, rpc.Context))

	return h
}

// serve runs a server until the test ends, and returns it with its address.
func serve(t *testing.T, as rpc.Credentials) (server *rpc.Server, address string) {
	t.Helper()

	server, err := rpc.NewServer(rpc.ServerConfig{Credentials: as, StopTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
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

	return server, listener.Addr().String()
}

func open(t *testing.T, dir string) *identity.CA {
	t.Helper()

	ca, err := identity.OpenCA(dir, identity.CAConfig{})
	if err != nil {
		t.Fatal(err)
	}

	return ca
}

// credentials issues a certificate and watches it.
func (h *house) credentials(t *testing.T, ca *identity.CA, short string) rpc.Credentials {
	t.Helper()

	dir := filepath.Join(h.dir, short)
	if err := ca.Issue(dir, name(short).String()); err != nil {
		t.Fatal(err)
	}

	source, err := identity.Watch(t.Context(), dir, identity.WithPoll(0))
	if err != nil {
		t.Fatal(err)
	}

	return rpc.Credentials{SVID: source, Bundle: source}
}

func (h *house) dial(t *testing.T, creds rpc.Credentials) *grpc.ClientConn {
	t.Helper()

	connection, err := rpc.Dial(h.addr, h.server, rpc.ClientConfig{Credentials: creds})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = connection.Close() })

	return connection
}

// serial asks the server for its health and returns the serial number of the certificate that it showed.
func serial(t *testing.T, connection *grpc.ClientConn) string {
	t.Helper()

	var server peer.Peer
	if _, err := grpc_health_v1.NewHealthClient(connection).
		Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}, grpc.Peer(&server)); err != nil {
		t.Fatal(err)
	}

	info, ok := server.AuthInfo.(credentials.TLSInfo)
	if !ok {
		t.Fatalf("no TLS but %T", server.AuthInfo)
	}

	return info.State.PeerCertificates[0].SerialNumber.String()
}

func TestRotationKeepsConnections(t *testing.T) {
	h := newHouse(t)
	client := h.credentials(t, h.ca, "billing")
	connection := h.dial(t, client)

	stream, err := grpc_health_v1.NewHealthClient(connection).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "later"})
	if err != nil {
		t.Fatal(err)
	}

	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}

	first := serial(t, connection)

	for _, short := range []string{rpc.Context, "billing"} { // both sides renew
		if err := h.ca.Issue(filepath.Join(h.dir, short), name(short).String()); err != nil {
			t.Fatal(err)
		}
	}

	if serial(t, h.dial(t, client)) == first {
		t.Error("a new connection got the old certificate")
	}

	if serial(t, connection) != first {
		t.Error("the open connection was made anew")
	}

	open := make(chan error, 1)
	go func() { // the stream is silent, but alive: it ends only when its server does
		_, err := stream.Recv()
		open <- err
	}()

	select {
	case err := <-open:
		t.Errorf("the open stream ended: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
}

// refused expects that the handshake fails.
func refused(t *testing.T, connection *grpc.ClientConn) {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()

	_, err := grpc_health_v1.NewHealthClient(connection).
		Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(false))
	if status.Code(err) != codes.Unavailable {
		t.Errorf("got %v, want that the handshake fails", err)
	}
}

func TestForeignAuthorityIsRefused(t *testing.T) {
	h := newHouse(t)
	own, foreign := h.credentials(t, h.ca, "billing"), h.credentials(t, open(t, filepath.Join(t.TempDir(), "ca")), "triage")

	refused(t, h.dial(t, rpc.Credentials{SVID: foreign.SVID, Bundle: own.Bundle}))
	refused(t, h.dial(t, foreign))
}

func TestWrongNameIsRefused(t *testing.T) {
	h := newHouse(t)
	h.server = name("scheduling")
	refused(t, h.dial(t, h.credentials(t, h.ca, "billing")))
}

func TestExpiredCertificateIsRefused(t *testing.T) {
	h := newHouse(t)
	own := h.credentials(t, h.ca, "billing")

	past, err := identity.OpenCA(h.root, identity.CAConfig{Now: func() time.Time { return time.Now().Add(-2 * time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}

	dir := filepath.Join(h.dir, "expired")
	if err := past.Issue(dir, name("billing").String()); err != nil {
		t.Fatal(err)
	}

	expired, err := x509svid.Load(filepath.Join(dir, identity.SVIDFile), filepath.Join(dir, identity.KeyFile))
	if err != nil {
		t.Fatal(err)
	}

	refused(t, h.dial(t, rpc.Credentials{SVID: expired, Bundle: own.Bundle}))
}
