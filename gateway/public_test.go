package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/fault"
)

func sha256Hex(text string) string {
	sum := sha256.Sum256([]byte(text))

	return hex.EncodeToString(sum[:])
}

func getRequest(id string) *conversationv1.GetConversationRequest {
	return &conversationv1.GetConversationRequest{ConversationId: id}
}

// newPublicConn serves the public door with TLS and connects to it.
func newPublicConn(tb testing.TB, service *Service) *grpc.ClientConn {
	tb.Helper()

	certified := httptest.NewTLSServer(nil) // only for its certificate
	defer certified.Close()

	server := service.NewPublicServer(&tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS13})

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}

	go func() { _ = server.Serve(listener) }()

	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())

	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(
		credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS13})))
	if err != nil {
		tb.Fatal(err)
	}

	tb.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
	})

	return conn
}

func newPublicClient(tb testing.TB, service *Service) conversationv1.ConversationServiceClient {
	tb.Helper()

	return conversationv1.NewConversationServiceClient(newPublicConn(tb, service))
}

func TestPublicServer(t *testing.T) {
	w := newWorld(t, withTokens(t))
	conn := newPublicConn(t, w.service)
	client := conversationv1.NewConversationServiceClient(conn)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+annToken)

	if _, err := client.CreateConversation(t.Context(), &conversationv1.CreateConversationRequest{}); fault.CodeOf(err) != codes.Unauthenticated {
		t.Errorf("without a token: %v", err)
	}

	var header metadata.MD

	created, err := client.CreateConversation(ctx, &conversationv1.CreateConversationRequest{}, grpc.Header(&header))
	if err != nil {
		t.Fatal(err)
	}

	if len(header.Get("x-request-id")) != 1 {
		t.Errorf("header %v", header)
	}

	id := created.GetConversation().GetConversationId()

	if _, err := client.SendMessage(ctx, &conversationv1.SendMessageRequest{ConversationId: id}); fault.From(err).Violations == nil || fault.From(err).Violations[0].Field != "text" {
		t.Errorf("invalid: %v", err)
	}

	sent, err := client.SendMessage(ctx, &conversationv1.SendMessageRequest{ConversationId: id, Text: "hello"})
	if err != nil || sent.GetTurn().GetText() != "echo: hello" {
		t.Errorf("send: %v %v", sent, err)
	}

	if got := streamMessage(ctx, t, client, id); !slices.Equal(got, []string{"turn_accepted", "segment_started", "agent_message", "turn_completed"}) {
		t.Errorf("stream: %v", got)
	}

	if _, err := client.GetConversation(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+bobToken), getRequest(id)); fault.CodeOf(err) != codes.NotFound {
		t.Errorf("another user: %v", err)
	}

	health, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health: %v %v", health, err)
	}

	if got := listServices(t, conn); !slices.Contains(got, "serin.conversation.v1.ConversationService") {
		t.Errorf("reflection: %v", got)
	}
}

// streamMessage returns the names of a message's durable events.
func streamMessage(ctx context.Context, t *testing.T, client conversationv1.ConversationServiceClient, id string) []string {
	t.Helper()

	stream, err := client.StreamMessage(ctx, &conversationv1.StreamMessageRequest{ConversationId: id, Text: "hello"})
	if err != nil {
		t.Fatal(err)
	}

	var names []string

	for {
		next, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return names
		}

		if err != nil {
			t.Fatal(err)
		}

		if next.GetEvent().GetSequence() > 0 {
			names = append(names, eventName(next.GetEvent()))
		}
	}
}

func listServices(t *testing.T, conn *grpc.ClientConn) []string {
	t.Helper()

	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	if err := stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}

	got, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}

	_ = stream.CloseSend()

	names := make([]string, 0, len(got.GetListServicesResponse().GetService()))
	for _, service := range got.GetListServicesResponse().GetService() {
		names = append(names, service.GetName())
	}

	return names
}

func TestStreamEventsOverGRPC(t *testing.T) {
	w := newWorld(t)
	client := newPublicClient(t, w.service)
	id := w.create()

	stream, err := client.StreamEvents(t.Context(), &conversationv1.StreamEventsRequest{ConversationId: id})
	if err != nil {
		t.Fatal(err)
	}

	w.agents["triage"].plays(func(turn *contextv1.Turn) (*handoffv1.Finished, error) {
		return &handoffv1.Finished{Outcome: handoffv1.Finished_OUTCOME_FAILED}, w.store.write(turn, &eventv1.TurnFailed{Reason: "PROVIDER_ERROR"})
	})
	w.send(id, "hello")

	for _, want := range []string{"conversation_created", "turn_accepted", "segment_started", "turn_failed"} {
		if got, err := stream.Recv(); err != nil || eventName(got.GetEvent()) != want {
			t.Fatalf("got %v %v, want %s", got, err, want)
		}
	}

	w.service.Drain()

	if _, err := stream.Recv(); !fault.Is(err, "DRAINING") {
		t.Errorf("after draining: %v", err)
	}
}

// TestDrainingNamesTheTurn that a stream shows, so that its caller finds it again.
func TestDrainingNamesTheTurn(t *testing.T) {
	w := newWorld(t)
	w.agents["triage"].plays(func(*contextv1.Turn) (*handoffv1.Finished, error) {
		<-w.service.draining.Done()

		return &handoffv1.Finished{Outcome: handoffv1.Finished_OUTCOME_SUPERSEDED}, nil
	})

	stream, err := newPublicClient(t, w.service).StreamMessage(t.Context(), &conversationv1.StreamMessageRequest{
		ConversationId: w.create(), Text: "hello",
	})
	if err != nil {
		t.Fatal(err)
	}

	for turn := ""; ; {
		shown, err := stream.Recv()
		if err == nil {
			turn = shown.GetEvent().GetTurnId()

			w.service.Drain()

			continue
		}

		if known := fault.From(err); known.Reason != reasonDraining || turn == "" || known.Metadata["turn_id"] != turn || known.Metadata["from"] == "" {
			t.Errorf("of turn %s: %v, %v", turn, err, known.Metadata)
		}

		return
	}
}

func TestPanicOverGRPC(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Context = panickyStore{c.Context} })

	_, err := newPublicClient(t, w.service).GetConversation(t.Context(), getRequest("c1"))
	if fault.CodeOf(err) != codes.Internal || strings.Contains(err.Error(), "boom") {
		t.Errorf("got %v", err)
	}
}
