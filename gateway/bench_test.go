package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/telemetry"
)

// directStore is the fake store without a network: what is measured is the gateway alone.
type directStore struct {
	contextv1.ContextServiceClient

	store *fakeStore
}

func (d directStore) GetConversation(ctx context.Context, req *contextv1.GetConversationRequest, _ ...grpc.CallOption) (*contextv1.GetConversationResponse, error) {
	return d.store.GetConversation(ctx, req)
}

// bareServer is the same server without the guard.
type bareServer struct {
	conversationv1.UnimplementedConversationServiceServer

	service *Service
}

func (b bareServer) GetConversation(ctx context.Context, req *conversationv1.GetConversationRequest) (*conversationv1.GetConversationResponse, error) {
	return b.service.getConversation(ctx, Principal{Tenant: "acme", User: "ann", Role: RoleUser}, req)
}

// BenchmarkRESTUnary gets a conversation through the gateway, with tokens, log and metrics, and through a bare
// grpc-gateway mux in front of the same server; the metric x-bare is the gateway's throughput over the bare one's.
func BenchmarkRESTUnary(b *testing.B) {
	observed, err := telemetry.New(telemetry.Options{Writer: io.Discard})
	if err != nil {
		b.Fatal(err)
	}

	store := newFakeStore()
	config := Config{
		Context: directStore{store: store}, Telemetry: observed,
		Handoff: func(string) (handoffv1.HandoffServiceClient, error) { return nil, os.ErrNotExist },
	}
	withTokens(b)(&config)

	service, err := New(config)
	if err != nil {
		b.Fatal(err)
	}
	defer service.Close()

	created, err := store.CreateConversation(b.Context(), &contextv1.CreateConversationRequest{RequestId: "r", Tenant: "acme", User: "ann", Agent: "triage"})
	if err != nil {
		b.Fatal(err)
	}

	mux := runtime.NewServeMux()
	if err := conversationv1.RegisterConversationServiceHandlerServer(b.Context(), mux, bareServer{service: service}); err != nil {
		b.Fatal(err)
	}

	path := "/v1/conversations/" + created.GetConversation().GetConversationId()
	bareHTTP := service.HTTPServer() // with the same limits
	bareHTTP.Handler = mux
	ours, bare := newBenchTarget(b, service.HTTPServer(), path), newBenchTarget(b, bareHTTP, path)

	var oursTook, bareTook time.Duration

	for b.Loop() { // in turns, so that the machine's moods meet both
		bareTook += bare.run(b)
		oursTook += ours.run(b)
	}

	b.ReportMetric(float64(bareTook)/float64(oursTook), "x-bare")
	b.ReportMetric(float64(oursTook.Nanoseconds())/float64(b.N)/batch, "gateway-ns/req")
	b.ReportMetric(float64(bareTook.Nanoseconds())/float64(b.N)/batch, "bare-ns/req")
}

const batch = 800

type benchTarget struct {
	client *http.Client
	req    *http.Request
}

func newBenchTarget(b *testing.B, server *http.Server, path string) *benchTarget {
	b.Helper()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}

	test := &httptest.Server{Listener: listener, Config: server}
	test.Start()
	b.Cleanup(test.Close)

	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, test.URL+path, nil)
	if err != nil {
		b.Fatal(err)
	}

	req.Header.Set("Authorization", "Bearer "+annToken)

	client := test.Client()
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = 16

	return &benchTarget{client: client, req: req}
}

// run sends a batch of requests by several clients at once, and returns how long it took.
func (t *benchTarget) run(b *testing.B) time.Duration {
	b.Helper()

	const clients = 8

	var group sync.WaitGroup

	began := time.Now()

	for range clients {
		group.Go(func() {
			for range batch / clients {
				t.once(b)
			}
		})
	}

	group.Wait()

	return time.Since(began)
}

func (t *benchTarget) once(b *testing.B) {
	b.Helper()

	resp, err := t.client.Do(t.req)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Error(err, resp)

		return
	}

	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}
