package rpc_test

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
)

func getTurn(ctx context.Context, connection *grpc.ClientConn, turn string) (*contextv1.Turn, error) {
	response, err := contextv1.NewContextServiceClient(connection).GetTurn(ctx, &contextv1.GetTurnRequest{TurnId: turn})

	return response.GetTurn(), err
}

func TestPeerComesFromTheCertificate(t *testing.T) {
	dial := rpctest.Serve(t, rpc.Context, policy(), register(&store{}))

	// What a caller claims about itself counts for nothing.
	ctx := metadata.AppendToOutgoingContext(t.Context(),
		"x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/default/sa/serin-gateway", "peer", "serin-gateway")

	turn, err := getTurn(ctx, dial(t, "billing"), "t1")
	if err != nil || turn.GetUser() != "spiffe://cluster.local/ns/default/sa/billing" {
		t.Errorf("the server saw %q, %v", turn.GetUser(), err)
	}
}

func TestMethodsAreDeniedByDefault(t *testing.T) {
	dial := rpctest.Serve(t, rpc.Context, policy(), register(&store{}))
	agent := contextv1.NewContextServiceClient(dial(t, "billing"))

	_, err := agent.GetState(t.Context(), &contextv1.GetStateRequest{Scope: "s", Key: "k"}) // not in the policy
	expectFault(t, err, codes.PermissionDenied, "METHOD_NOT_ALLOWED")

	_, err = agent.ListResumableTurns(t.Context(), &contextv1.ListResumableTurnsRequest{}) // the gateway's
	expectFault(t, err, codes.PermissionDenied, "METHOD_NOT_ALLOWED")

	if want := "spiffe://cluster.local/ns/default/sa/billing may not call /serin.context.v1.ContextService/ListResumableTurns"; err == nil ||
		!strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want that it says %s", err, want)
	}
}

func TestAnotherNamespaceIsRefused(t *testing.T) {
	dial := rpctest.Serve(t, rpc.Context, policy(), register(&store{}))

	_, err := getTurn(t.Context(), dial(t, "spiffe://cluster.local/ns/other/sa/serin-gateway"), "t1")
	expectFault(t, err, codes.PermissionDenied, "METHOD_NOT_ALLOWED")
}

func TestStreamsAreDeniedToo(t *testing.T) {
	dial := rpctest.Serve(t, rpc.Context, policy(), register(&store{}))

	stream, err := contextv1.NewContextServiceClient(dial(t, rpc.Gateway)).
		FollowEvents(t.Context(), &contextv1.FollowEventsRequest{ConversationId: "c1"})
	if err == nil {
		_, err = stream.Recv()
	}

	expectFault(t, err, codes.PermissionDenied, "METHOD_NOT_ALLOWED")
}

func TestHealthIsOpenToWorkloads(t *testing.T) {
	dial := rpctest.Serve(t, rpc.Context, nil, register(&store{}))

	answer, err := grpc_health_v1.NewHealthClient(dial(t, "billing")).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", answer, err)
	}
}

// refused expects that no connection comes about.
func refused(t *testing.T, connection *grpc.ClientConn) {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()

	err := connection.Invoke(ctx, contextv1.ContextService_PutState_FullMethodName,
		&contextv1.PutStateRequest{Scope: "s", Key: "k"}, &contextv1.PutStateResponse{}, grpc.WaitForReady(false))
	if got := grpcCode(err); got != codes.Unavailable {
		t.Errorf("got %v, want that the handshake fails", err)
	}
}

func TestForeignAuthorityIsRefused(t *testing.T) {
	rig := rpctest.Start(t, rpc.Context, policy(), register(&store{}))
	own, foreign := rig.CA.Credentials(t, rpc.Gateway), rpctest.NewCA(t).Credentials(t, rpc.Gateway)

	t.Run("the client's", func(t *testing.T) {
		refused(t, rig.DialWith(t, rpc.Credentials{SVID: foreign.SVID, Bundle: own.Bundle}))
	})
	t.Run("the server's", func(t *testing.T) {
		refused(t, rig.DialWith(t, rpc.Credentials{SVID: own.SVID, Bundle: foreign.Bundle}))
	})
}

func TestForeignTrustDomainIsRefused(t *testing.T) {
	rig := rpctest.Start(t, rpc.Context, policy(), register(&store{}))
	refused(t, rig.DialWith(t, rig.CA.Credentials(t, "spiffe://elsewhere.example/ns/default/sa/serin-gateway")))
}

func TestExpiredCertificateIsRefused(t *testing.T) {
	rig := rpctest.Start(t, rpc.Context, policy(), register(&store{}))
	refused(t, rig.DialWith(t, rig.CA.CredentialsUntil(t, rpc.Gateway, time.Now().Add(-time.Minute))))
}

func TestServerOfAnotherNameIsRefused(t *testing.T) {
	rig := rpctest.Start(t, "billing", policy(), register(&store{}))
	rig.Identity = rpctest.Identity(t, "scheduling") // who the client means to talk to
	refused(t, rig.Dial(t, rpc.Gateway))
}

func TestPlainTextIsRefused(t *testing.T) {
	rig := rpctest.Start(t, rpc.Context, policy(), register(&store{}))

	connection, err := grpc.NewClient(rig.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()

	refused(t, connection)
}

func TestHandshakeNeedsTLS13AndACertificate(t *testing.T) {
	rig := rpctest.Start(t, rpc.Context, policy(), register(&store{}))
	good := rig.CA.Credentials(t, rpc.Gateway).ClientTLS(rig.Identity)
	good.NextProtos = []string{"h2"}

	old := good.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12

	anonymous := good.Clone()
	anonymous.GetClientCertificate = nil

	for name, test := range map[string]struct {
		config *tls.Config
		works  bool
	}{"good": {good, true}, "TLS 1.2": {old, false}, "anonymous": {anonymous, false}} {
		if err := exchange(t, rig.Addr, test.config); (err == nil) != test.works {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// exchange reads the server's first byte, which it sends only after it has accepted the client.
func exchange(t *testing.T, address string, config *tls.Config) error {
	t.Helper()

	connection, err := tls.Dial("tcp", address, config)
	if err != nil {
		return err
	}
	defer connection.Close()

	_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
	_, err = connection.Read(make([]byte, 1))

	return err
}

func TestServerTLSMayRefuseIdentities(t *testing.T) {
	ca := rpctest.NewCA(t)
	config := ca.Credentials(t, rpc.Context).ServerTLS(rpc.Names(rpc.Gateway))

	for name, works := range map[string]bool{rpc.Gateway: true, "billing": false} {
		leaf, err := ca.Credentials(t, name).SVID.GetX509SVID()
		if err != nil {
			t.Fatal(err)
		}

		if err := config.VerifyPeerCertificate([][]byte{leaf.Certificates[0].Raw}, nil); (err == nil) != works {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWalkMethods(t *testing.T) {
	whole := policy()
	add := func(method string) {
		name := "/" + contextv1.ContextService_ServiceDesc.ServiceName + "/" + method
		if whole[name] == nil {
			whole[name] = rpc.Names(rpc.Supervisor)
		}
	}

	for _, method := range contextv1.ContextService_ServiceDesc.Methods {
		add(method.MethodName)
	}

	for _, stream := range contextv1.ContextService_ServiceDesc.Streams {
		add(stream.StreamName)
	}

	rig := rpctest.Start(t, rpc.Context, whole, register(&store{}))
	rpctest.WalkMethods(t, rig.Server, rig.Dial, whole)
}
