package rpc_test

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
)

// meshServer is a server of the mesh that runs as the test process itself.
type meshServer struct {
	*rpc.Server

	plane *plane
	addr  string
}

func (p *plane) startServer(
	policy rpc.Policy, register func(grpc.ServiceRegistrar), change ...func(*rpc.ServerConfig),
) *meshServer {
	p.t.Helper()

	config := rpc.ServerConfig{Credentials: p.credentials(self), Policy: policy, Mesh: true}
	for _, change := range change {
		change(&config)
	}

	server, err := rpc.NewServer(config)
	if err != nil {
		p.t.Fatal(err)
	}

	register(server)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}

	served := make(chan error, 1)

	go func() { served <- server.Serve(listener) }()

	p.t.Cleanup(func() {
		p.look()
		server.Stop()

		if err := <-served; err != nil {
			p.t.Error(err)
		}
	})

	return &meshServer{Server: server, plane: p, addr: listener.Addr().String()}
}

// await waits until the server takes connections.
func (s *meshServer) await(t *testing.T) {
	t.Helper()

	eventually(t, "the server takes connections", func() bool { return s.CheckServing(t.Context()) == nil })
	s.plane.look()
}

// dial connects from outside of the mesh.
func (s *meshServer) dial(t *testing.T, creds rpc.Credentials) *grpc.ClientConn {
	t.Helper()

	connection, err := rpc.Dial(s.addr, rpctest.Identity(t, self), rpc.ClientConfig{Credentials: creds})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = connection.Close() })

	return connection
}

func TestAServerServesOnceTheMeshSaysSo(t *testing.T) {
	p := newPlane(t)
	server := p.startServer(policy(), register(&store{}))
	client := server.dial(t, p.credentials("billing"))

	if err := server.CheckServing(t.Context()); err == nil || !strings.Contains(err.Error(), "not sent this server's listener yet") {
		t.Errorf("ready: %v", err)
	}

	if _, err := contextv1.NewContextServiceClient(client).
		GetTurn(soon(t, 200*time.Millisecond), &contextv1.GetTurnRequest{TurnId: "t"}); err == nil {
		t.Error("it answers before the control plane said what to ask of callers")
	}

	p.serve(inbound(server.addr, true))
	server.await(t)

	if err := server.CheckServing(t.Context()); err != nil {
		t.Error(err)
	}

	turn, err := getTurn(t.Context(), client, "t1")
	if err != nil || turn.GetUser() != "spiffe://cluster.local/ns/default/sa/billing" {
		t.Errorf("got %v, %v", turn, err)
	}

	p.withdraw(resource.ListenerType, inboundName(server.addr))
	p.serve(inbound("127.0.0.1:1", true)) // the control plane says something, but not this server's
	eventually(t, "not ready", func() bool { return server.CheckServing(t.Context()) != nil })

	p.serve(inbound(server.addr, true))
	eventually(t, "ready again", func() bool { return server.CheckServing(t.Context()) == nil })
}

func TestOtherServersServeAtOnce(t *testing.T) {
	rig := rpctest.Start(t, "billing", policy(), register(&store{}))

	if err := rig.Server.CheckServing(t.Context()); err != nil {
		t.Error(err)
	}

	if _, err := getTurn(t.Context(), rig.Dial(t, "billing"), "t1"); err != nil {
		t.Error(err)
	}
}

func TestTheMeshKnowsItsCallers(t *testing.T) {
	p := newPlane(t)
	server := p.startServer(policy(), register(&store{}))
	p.simple(self, self, server.addr)
	p.serve(inbound(server.addr, true))
	server.await(t)

	turn, err := getTurn(t.Context(), p.dial(self), "t1") // through the mesh on both sides
	if err != nil || turn.GetUser() != "spiffe://cluster.local/ns/default/sa/serin-gateway" {
		t.Errorf("got %v, %v", turn, err)
	}

	elsewhere := rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: "elsewhere", Name: "billing"}.String()
	for name, creds := range map[string]rpc.Credentials{
		"not in the policy": p.credentials(rpc.Tools), "another namespace": p.outsider(elsewhere),
	} {
		_, err := getTurn(t.Context(), server.dial(t, creds), "t1")
		if grpcCode(err) != codes.PermissionDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// outsider has a certificate of the same authority under any SPIFFE ID.
func (p *plane) outsider(uri string) rpc.Credentials { return p.credentialsIn("outsider", uri) }

func TestTheMeshRefusesStrangers(t *testing.T) {
	p := newPlane(t)
	server := p.startServer(policy(), register(&store{}))
	p.serve(inbound(server.addr, true))
	server.await(t)

	own := p.credentials("billing")
	foreign := rpctest.NewCA(t).Credentials(t, "billing")

	for name, creds := range map[string]credentials.TransportCredentials{
		"plain text":        insecure.NewCredentials(),
		"no certificate":    credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}),
		"another authority": credentials.NewTLS(rpc.Credentials{SVID: foreign.SVID, Bundle: own.Bundle}.ClientTLS(rpctest.Identity(t, self))),
	} {
		connection, err := grpc.NewClient(server.addr, grpc.WithTransportCredentials(creds))
		if err != nil {
			t.Fatal(err)
		}

		if _, err := getTurn(soon(t, 5*time.Second), connection, "t1"); grpcCode(err) != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}

		_ = connection.Close()
	}
}

func TestAServerWithoutTLSServesNobody(t *testing.T) {
	p := newPlane(t)
	service := &store{}
	server := p.startServer(policy(), register(service))
	p.serve(inbound(server.addr, false))
	server.await(t)

	for name, creds := range map[string]credentials.TransportCredentials{
		"plain text": insecure.NewCredentials(),
		"mutual TLS": credentials.NewTLS(p.credentials("billing").ClientTLS(rpctest.Identity(t, self))),
	} {
		connection, err := grpc.NewClient(server.addr, grpc.WithTransportCredentials(creds))
		if err != nil {
			t.Fatal(err)
		}

		if _, err := getTurn(soon(t, 5*time.Second), connection, "t1"); grpcCode(err) != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}

		_ = connection.Close()
	}

	if got := service.calls.Load(); got != 0 {
		t.Errorf("the service was called %d times", got)
	}
}

func TestOperatorsSeeWhatTheMeshSent(t *testing.T) {
	p := newPlane(t)
	server := p.startServer(policy(), register(&store{}))
	p.serve(inbound(server.addr, true))
	server.await(t)

	got, err := statusv3.NewClientStatusDiscoveryServiceClient(server.dial(t, p.credentials(rpc.Operator))).
		FetchClientStatus(t.Context(), &statusv3.ClientStatusRequest{})
	if err != nil || !strings.Contains(got.String(), inboundName(server.addr)) {
		t.Errorf("got %v, %v", got, err)
	}

	rpctest.CheckMesh(t, server.dial(t, p.credentials(rpc.Supervisor)))

	_, err = statusv3.NewClientStatusDiscoveryServiceClient(server.dial(t, p.credentials("billing"))).
		FetchClientStatus(t.Context(), &statusv3.ClientStatusRequest{})
	expectFault(t, err, codes.PermissionDenied, "METHOD_NOT_ALLOWED")
}

func TestRunDrainsInTheMesh(t *testing.T) {
	p := newPlane(t)
	server := p.startServer(policy(), register(&store{}))
	p.serve(inbound(server.addr, true))
	server.await(t)

	stream, err := contextv1.NewContextServiceClient(server.dial(t, p.credentials("billing"))).
		FollowEvents(t.Context(), &contextv1.FollowEventsRequest{ConversationId: "c"})
	if err != nil {
		t.Fatal(err)
	}

	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}

	server.Shutdown(50 * time.Millisecond)

	for err == nil {
		_, err = stream.Recv()
	}
}

// A refusal is seen, so that none being there means something.
func TestRefusalsAreSeen(t *testing.T) {
	taken, refused := rpctest.MeshStatus(&statusv3.ClientStatusResponse{Config: []*statusv3.ClientConfig{{
		GenericXdsConfigs: []*statusv3.ClientConfig_GenericXdsConfig{
			{Name: "a", ClientStatus: adminv3.ClientResourceStatus_ACKED},
			{Name: "b", ClientStatus: adminv3.ClientResourceStatus_NACKED, ErrorState: &adminv3.UpdateFailureState{Details: "bad"}},
			{Name: "c", ClientStatus: adminv3.ClientResourceStatus_REQUESTED},
		},
	}}})
	if taken != 1 || len(refused) != 1 || !strings.Contains(refused[0], "b: bad") {
		t.Errorf("%d, %v", taken, refused)
	}
}
