package agent

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a store, a model, tools, a dispatcher, and agents that can be killed and started anew.
type world struct {
	t     *testing.T
	store *fakeStore
	model *fakeModel
	tools *fakeTools
	specs map[string]agentspec.Agent

	storeWire   *wire
	gateway     *process
	credentials rpc.Credentials // the memory needs none, but connections do

	mu        sync.Mutex
	processes map[string]*process
	starts    int
	// killAfter kills the process that appends for the n-th time, before or after the append; 0 never.
	killAfter  int
	killBefore bool
	appends    atomic.Int64
	killed     chan *process
}

// wire is a gRPC server in memory.
type wire struct {
	server   *grpc.Server
	listener *bufconn.Listener

	mu    sync.Mutex
	asked []string // tenant and revision of the calls with a stream
}

func (w *wire) note(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.asked = append(w.asked, fmt.Sprintf("%s %s",
		metadata.ValueFromIncomingContext(ctx, rpc.HeaderTenant), metadata.ValueFromIncomingContext(ctx, rpc.HeaderRevision)))
}

func (w *wire) calls() []string {
	w.mu.Lock()
	defer w.mu.Unlock()

	return slices.Clone(w.asked)
}

func newWire(register func(*grpc.Server)) *wire {
	w := &wire{listener: bufconn.Listen(1 << 20)}
	w.server = grpc.NewServer(
		grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			return next(withPeer(ctx), request)
		}),
		grpc.StreamInterceptor(func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			w.note(stream.Context())

			return next(server, peerStream{stream, withPeer(stream.Context())})
		}),
	)
	register(w.server)

	go func() { _ = w.server.Serve(w.listener) }()

	return w
}

type peerStream struct {
	grpc.ServerStream

	ctx context.Context
}

func (s peerStream) Context() context.Context { return s.ctx }

func withPeer(ctx context.Context) context.Context {
	if names := metadata.ValueFromIncomingContext(ctx, "x-name"); len(names) > 0 {
		return rpc.ContextWithPeer(ctx, rpc.Identity{TrustDomain: "cluster.local", Namespace: "default", Name: names[0]})
	}

	return ctx
}

// process is one agent's process, or the gateway.
type process struct {
	world   *world
	name    string
	dead    atomic.Bool
	service *Service
	wire    *wire
	context contextv1.ContextServiceClient
	mu      sync.Mutex
	conns   []*grpc.ClientConn
}

// dial connects as the process; once it is dead nothing of it gets out.
func (p *process) dial(to *wire) *grpc.ClientConn {
	conn, err := rpc.Dial("passthrough:memory", rpctest.Identity(p.world.t, "anyone"), rpc.ClientConfig{
		Credentials: p.world.credentials,
		DialOptions: []grpc.DialOption{
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.WaitForReady(false)),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return to.listener.DialContext(ctx) }),
			grpc.WithUnaryInterceptor(p.unary), grpc.WithStreamInterceptor(p.stream),
		},
	})
	if err != nil {
		p.world.t.Fatal(err)
	}

	p.mu.Lock()
	defer p.mu.Unlock()

	p.conns = append(p.conns, conn)

	return conn
}

func (p *process) check() error {
	if p.dead.Load() {
		return fault.New(codes.DataLoss, "DEAD", "%s is dead", p.name)
	}

	return nil
}

func (p *process) unary(
	ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	if err := p.check(); err != nil {
		return err
	}

	ctx = metadata.AppendToOutgoingContext(ctx, "x-name", p.name)
	dies := method == contextv1.ContextService_Append_FullMethodName && p.world.lastAppend()

	if dies && p.world.killBefore {
		p.die()

		return p.check()
	}

	err := invoke(ctx, method, request, answer, conn, opts...)

	if dies {
		p.die()
	}

	if dead := p.check(); dead != nil {
		return dead
	}

	return err
}

func (p *process) stream(
	ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	if err := p.check(); err != nil {
		return nil, err
	}

	return open(metadata.AppendToOutgoingContext(ctx, "x-name", p.name), desc, conn, method, opts...)
}

func (p *process) die() {
	p.dead.Store(true)
	p.world.killed <- p
}

// mortalTools are tools as a process reaches them.
type mortalTools struct {
	*fakeTools

	process *process
}

func (m mortalTools) Execute(
	ctx context.Context, request *toolsv1.ExecuteRequest, opts ...grpc.CallOption,
) (grpc.ServerStreamingClient[toolsv1.ExecuteResponse], error) {
	if err := m.process.check(); err != nil {
		return nil, err
	}

	return m.fakeTools.Execute(ctx, request, opts...)
}

func newWorld(t *testing.T, script func(modelAsked) modelReply) *world {
	t.Helper()

	w := &world{
		t: t, store: newFakeStore(), model: newFakeModel(t, script), specs: map[string]agentspec.Agent{},
		processes: map[string]*process{}, killed: make(chan *process, 16),
		credentials: rpctest.NewCA(t).Credentials(t, "anyone"),
	}
	w.tools = newFakeTools(w.store,
		&toolsv1.Tool{Name: "lookup", Description: "looks up", InputSchema: `{"type":"object"}`, Server: "builtin"},
		&toolsv1.Tool{Name: "clock", Description: "tells the time", InputSchema: `{"type":"object"}`, Server: "builtin"},
		&toolsv1.Tool{Name: "refund", Description: "pays back", InputSchema: `{"type":"object"}`, Server: "billing", NeedsApproval: true},
	)
	w.storeWire = newWire(func(server *grpc.Server) { contextv1.RegisterContextServiceServer(server, w.store) })
	w.gateway = &process{world: w, name: rpc.Gateway}

	t.Cleanup(w.close)

	return w
}

func (w *world) close() {
	w.mu.Lock()
	processes := w.processes
	w.mu.Unlock()

	for _, process := range processes {
		process.stop()
	}

	w.gateway.disconnect()
	w.storeWire.server.Stop()
}

func (p *process) disconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()

	for _, conn := range p.conns {
		_ = conn.Close()
	}
}

// stop ends a process at once; what it still does fails.
func (p *process) stop() {
	p.dead.Store(true)

	now, cancel := context.WithCancel(context.Background())
	cancel()

	_ = p.service.Drain(now)
	p.wire.server.Stop()
	p.disconnect()
}

// spec is an agent with the given name.
func spec(name string) agentspec.Agent {
	agent := agentspec.Agent{Metadata: agentspec.Metadata{Name: name}}
	agent.Spec.Description = "does " + name
	agent.Spec.Prompt.Inline = "You are " + name + "."
	agent.Spec.Model = agentspec.Model{Name: "default", MaxOutputTokens: 100}
	agent.Spec.Budgets = agentspec.Budgets{Steps: 16, Tokens: 200_000, Hops: 8}

	return agent
}

// start runs an agent; again for the same name is a new process of it.
func (w *world) start(agent agentspec.Agent, change ...func(*Config)) *process {
	w.t.Helper()

	name := agent.Metadata.Name
	p := &process{world: w, name: name}
	p.context = contextv1.NewContextServiceClient(p.dial(w.storeWire))
	w.starts++

	config := Config{
		Agent: agent, Revision: strings.Repeat("ab", 32), Callers: []string{"triage", "billing"},
		Peers:   []Peer{{Name: "billing", Description: "knows invoices"}},
		Context: p.context, Tools: mortalTools{w.tools, p}, LLM: LLM{BaseURL: w.model.URL, HTTPClient: w.model.Client()},
		Instance: fmt.Sprintf("%s-%d", name, w.starts), LeaseTTL: 600 * time.Millisecond,
		Handoff: func(to string) (handoffv1.HandoffServiceClient, error) {
			if err := p.check(); err != nil {
				return nil, err
			}

			return w.client(p, to)
		},
	}
	for _, change := range change {
		change(&config)
	}

	service, err := New(config)
	if err != nil {
		w.t.Fatal(err)
	}

	p.service, p.wire = service, newWire(func(server *grpc.Server) { service.Register(server) })

	w.mu.Lock()
	defer w.mu.Unlock()

	w.processes[name] = p

	return p
}

func (w *world) client(from *process, to string) (handoffv1.HandoffServiceClient, error) {
	w.mu.Lock()
	target, ok := w.processes[to]
	w.mu.Unlock()

	if !ok {
		return nil, fault.New(codes.Unavailable, "DOWN", "%s is down", to)
	}

	return handoffv1.NewHandoffServiceClient(from.dial(target.wire)), nil
}

// handoff asks the agent for the turn as the gateway does and returns how its segment finished.
func (w *world) handoff(agent string, streamed ...*[]*eventv1.Event) (*handoffv1.Finished, error) {
	client, err := w.client(w.gateway, agent)
	if err != nil {
		return nil, err
	}

	_, turn, _ := w.store.snapshot()

	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()

	stream, err := client.Handoff(ctx, &handoffv1.HandoffRequest{
		ConversationId: conversation, TurnId: turn.GetTurnId(), ToAgent: agent, StreamEvents: len(streamed) > 0,
	})
	if err != nil {
		return nil, err
	}

	for {
		report, err := stream.Recv()
		if err != nil {
			return nil, err
		}

		if event := report.GetEvent(); event != nil {
			*streamed[0] = append(*streamed[0], event)
		}

		if report.GetFinished() != nil {
			return report.GetFinished(), nil
		}
	}
}

// lastAppend counts appends of agents.
func (w *world) lastAppend() bool { return w.appends.Add(1) == int64(w.killAfter) }

// drive dispatches the turn, approves what is asked and replaces what dies, until the turn has ended.
func (w *world) drive() *contextv1.Turn {
	w.t.Helper()

	limit := time.After(20 * time.Second)

	for {
		// A dead process is replaced before anything is sent to its agent again.
		select {
		case dead := <-w.killed:
			w.revive(dead)
		case <-limit:
			events, turn, _ := w.store.snapshot()
			w.t.Fatalf("the turn does not end: %v\n%s", turn, strings.Join(describeLog(events), "\n"))
		default:
		}

		_, turn, changed := w.store.snapshot()

		if turn.GetStatus() >= contextv1.TurnStatus_TURN_STATUS_COMPLETED {
			return turn
		}

		if turn.GetStatus() == contextv1.TurnStatus_TURN_STATUS_INPUT_REQUIRED {
			w.store.resolve(eventv1.Decision_DECISION_APPROVE, eventv1.Decision_DECISION_HAPPENED)

			continue
		}

		if _, ok := w.store.resumable(); ok {
			_, _ = w.handoff(turn.GetAgent()) // the next look at the turn tells

			continue
		}

		select {
		case dead := <-w.killed:
			w.revive(dead)
		case <-changed:
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// revive starts a dead agent anew, after its lease ran out.
func (w *world) revive(dead *process) {
	dead.stop()
	w.store.expire()
	w.start(w.specs[dead.name])
}

// begin accepts a turn for the agent.
func (w *world) begin(agent, text string) {
	w.store.accept(fmt.Sprintf("t%d", time.Now().UnixNano()), agent, text, 15*time.Second, &eventv1.Budget{Hops: 8})
}

// eventually waits until the condition holds.
func (w *world) eventually(what string, condition func() bool) {
	w.t.Helper()

	limit := time.After(10 * time.Second)

	for !condition() {
		select {
		case <-limit:
			events, _, _ := w.store.snapshot()
			w.t.Fatalf("not within 10 s: %s\n%s", what, strings.Join(describeLog(events), "\n"))
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// verify checks what must hold for every log of a turn that ended.
func (w *world) verify() {
	w.t.Helper()

	events, _, _ := w.store.snapshot()
	results, ends, messages := map[string]int{}, 0, map[string]int{}

	for i, event := range events {
		if event.GetSequence() != int64(i+1) {
			w.t.Errorf("sequence %d at %d", event.GetSequence(), i)
		}

		if result := event.GetToolResult(); result != nil {
			results[result.GetCallId()]++
		}

		if said := event.GetAgentMessage(); said != nil {
			messages[said.GetMessageId()]++
		}

		if event.GetTurnCompleted() != nil || event.GetTurnFailed() != nil || event.GetTurnCancelled() != nil {
			ends++
		}
	}

	for id, count := range results {
		if count != 1 {
			w.t.Errorf("call %s has %d results", id, count)
		}
	}

	for id, count := range messages {
		if count != 1 {
			w.t.Errorf("message %s is there %d times", id, count)
		}
	}

	for id, count := range w.tools.effects {
		if count != 1 {
			w.t.Errorf("call %s took effect %d times", id, count)
		}
	}

	if ends != 1 {
		w.t.Errorf("%d ends", ends)
	}

	if folded := fold(nil, events); !folded.turn.ended {
		w.t.Error("the fold says that the turn goes on")
	}

	if w.t.Failed() {
		w.t.Log(strings.Join(describeLog(events), "\n"))
	}
}

// log is the log in words.
func (w *world) log() []string {
	events, _, _ := w.store.snapshot()

	return describeLog(events)
}

// expect compares the log's words, message parts left out.
func (w *world) expect(want ...string) {
	w.t.Helper()

	got := slices.DeleteFunc(w.log(), func(line string) bool { return line == "message_part" })
	if !slices.Equal(got, want) {
		w.t.Errorf("the log is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
