package tools

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/telemetry"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(puppetVariable); mode != "" {
		if err := runPuppet(mode); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}

		return
	}

	if os.Getenv(orphanageVariable) != "" {
		runOrphanage()

		return
	}

	goleak.VerifyTestMain(m)
}

// testTTL is short, so that lost claims are found soon, and long enough for a busy machine to renew it.
const testTTL = 600 * time.Millisecond

// house is a tool service with a puppet server, a store and an effects file that outlive it.
type house struct {
	t       *testing.T
	store   *memoryStore
	effects string
	change  func(*Config)
}

// tenant is one life of the service.
type tenant struct {
	house   *house
	service *Service
	client  toolsv1.ToolExecuteServiceClient
	end     context.CancelFunc
	ended   chan struct{}
}

func newHouse(t *testing.T, changes ...func(*Config)) *house {
	t.Helper()

	return &house{
		t: t, store: newMemoryStore(), effects: filepath.Join(t.TempDir(), "effects"),
		change: func(config *Config) {
			for _, change := range changes {
				change(config)
			}
		},
	}
}

// withTool sets how one of the puppet's tools is treated.
func withTool(name string, settings agentspec.ToolSettings) func(*Config) {
	return func(config *Config) { config.Servers[0].Spec.Tools[name] = settings }
}

func (h *house) config() Config {
	h.t.Helper()

	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}

	config := Config{
		Context: h.store, ClaimTTL: testTTL, ServerWait: 20 * time.Second, MinBackoff: 10 * time.Millisecond,
		StopGrace: 200 * time.Millisecond, SelfPath: self,
		Servers: []agentspec.MCPServer{{
			Metadata: agentspec.Metadata{Name: "puppet"},
			Spec: agentspec.MCPServerSpec{
				Command: []string{"serin"},
				Env:     map[string]string{puppetVariable: "tame", effectsVariable: h.effects},
				Tools:   map[string]agentspec.ToolSettings{},
			},
		}},
		Grants: map[string][]agentspec.Tool{
			"billing": {{Name: "calculator"}, {Name: "puppet_*"}, {Name: "clock"}},
			"triage":  {{Name: "clock"}},
		},
		Telemetry: testTelemetry(h.t),
	}
	h.change(&config)

	return config
}

// testTelemetry writes to the test's log.
func testTelemetry(t *testing.T) *telemetry.Telemetry {
	t.Helper()

	discard := telemetry.Discard()
	discard.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))

	return discard
}

// move starts a life of the service, with a gRPC server in front of it that believes what a caller says it is.
func (h *house) move() *tenant {
	h.t.Helper()

	service, err := New(h.config())
	if err != nil {
		h.t.Fatal(err)
	}

	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.UnaryInterceptor(trustUnary), grpc.StreamInterceptor(trustStream))
	service.Register(server)

	go func() { _ = server.Serve(listener) }()

	connection, err := grpc.NewClient("passthrough:///tools", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		h.t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	moved := &tenant{
		house: h, service: service, client: toolsv1.NewToolExecuteServiceClient(connection), end: cancel, ended: make(chan struct{}),
	}

	go func() {
		defer close(moved.ended)

		if err := service.Run(ctx); err != nil {
			h.t.Errorf("Run: %v", err)
		}
	}()

	h.t.Cleanup(func() {
		moved.leave()
		connection.Close()
		server.Stop()
	})

	return moved
}

// leave ends this life without letting calls finish.
func (n *tenant) leave() {
	n.end()
	<-n.ended
}

func trust(ctx context.Context) context.Context {
	incoming, _ := metadata.FromIncomingContext(ctx)

	names := incoming.Get("agent")
	if len(names) == 0 {
		return ctx
	}

	return rpc.ContextWithPeer(ctx, rpc.Identity{TrustDomain: "cluster.local", Namespace: "default", Name: names[0]})
}

func trustUnary(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	return handler(trust(ctx), request)
}

type trustedStream struct {
	grpc.ServerStream

	ctx context.Context
}

func (s trustedStream) Context() context.Context { return s.ctx }

func trustStream(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return handler(server, trustedStream{stream, trust(stream.Context())})
}

func as(ctx context.Context, agent string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "agent", agent)
}

// answer is what an Execute came to.
type answer struct {
	result   *eventv1.ToolResult
	progress []*eventv1.ToolProgress
	err      error
}

func request(call, tool, arguments string) *toolsv1.ExecuteRequest {
	return &toolsv1.ExecuteRequest{
		ConversationId: "c1", TurnId: "t1", Epoch: 1,
		Call: &eventv1.ToolCall{CallId: call, Tool: tool, Arguments: arguments},
	}
}

// execute runs a call as the billing agent.
func (n *tenant) execute(call, tool, arguments string) answer {
	n.house.t.Helper()

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	return n.ask(as(ctx, "billing"), request(call, tool, arguments))
}

// goExecute runs a call in the background.
func (n *tenant) goExecute(ctx context.Context, call, tool, arguments string) <-chan answer {
	n.house.t.Helper()

	answers := make(chan answer, 1)

	go func() { answers <- n.ask(as(ctx, "billing"), request(call, tool, arguments)) }()

	return answers
}

func (n *tenant) ask(ctx context.Context, request *toolsv1.ExecuteRequest) answer {
	stream, err := n.client.Execute(ctx, request)
	if err != nil {
		return answer{err: err}
	}

	var got answer

	for {
		report, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return got
		}

		if err != nil {
			got.err = err

			return got
		}

		if progress := report.GetProgress(); progress != nil {
			got.progress = append(got.progress, progress)
		} else {
			got.result = report.GetResult()
		}
	}
}

// effectLines is how many effects there are.
func (h *house) effectLines() int { return countLines(h.effects) }

// eventually polls a condition.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()

	deadline := time.Now().Add(20 * time.Second)
	for !met() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}

		time.Sleep(5 * time.Millisecond)
	}
}

func wantOutcome(t *testing.T, got answer, want eventv1.ToolResult_Outcome) {
	t.Helper()

	if got.err != nil {
		t.Fatalf("error %v, want outcome %s", got.err, want)
	}

	if got.result.GetOutcome() != want {
		t.Fatalf("outcome %s (%s), want %s", got.result.GetOutcome(), got.result.GetOutput(), want)
	}
}

const (
	ok      = eventv1.ToolResult_OUTCOME_OK
	failure = eventv1.ToolResult_OUTCOME_ERROR
	unknown = eventv1.ToolResult_OUTCOME_UNKNOWN
)
