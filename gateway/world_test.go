package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
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
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// world is a gateway over real HTTP, with a store and agents behind real gRPC.
type world struct {
	t       testing.TB
	store   *fakeStore
	service *Service
	url     string
	client  *http.Client

	storeServer *restartable
	agents      map[string]*fakeAgent
}

// newWorld starts everything. Agents are triage (the entry) and billing.
func newWorld(tb testing.TB, adjust ...func(*Config)) *world {
	tb.Helper()

	w := &world{t: tb, store: newFakeStore(), agents: map[string]*fakeAgent{}}
	w.storeServer = newRestartable(tb, func(server *grpc.Server) { contextv1.RegisterContextServiceServer(server, w.store) })

	for _, name := range []string{"triage", "billing"} {
		agent := &fakeAgent{name: name, store: w.store, asked: make(chan string, 100)}
		agent.server = newRestartable(tb, func(server *grpc.Server) { handoffv1.RegisterHandoffServiceServer(server, agent) })
		w.agents[name] = agent
	}

	config := Config{
		Context: contextv1.NewContextServiceClient(w.storeServer.client),
		Handoff: func(agent string) (handoffv1.HandoffServiceClient, error) {
			if w.agents[agent] == nil {
				return nil, fault.New(codes.NotFound, "UNKNOWN_AGENT", "no such agent")
			}

			return handoffv1.NewHandoffServiceClient(w.agents[agent].server.client), nil
		},
		Agents: []Agent{
			{Name: "triage", Description: "Meets everyone.", Entry: true, Deadline: time.Minute, Budget: &eventv1.Budget{Steps: 7}},
			{Name: "billing", Description: "Knows invoices."},
			{Name: "ghost", Description: "Is listed but not there."},
		},
		DispatchInterval: 20 * time.Millisecond, Version: "test", OpenAPI: []byte(`{"swagger":"2.0"}`),
	}
	for _, change := range adjust {
		change(&config)
	}

	service, err := New(config)
	if err != nil {
		tb.Fatal(err)
	}

	w.service = service
	ctx, cancel := context.WithCancel(context.Background())

	var running sync.WaitGroup

	running.Go(func() {
		if err := service.Run(ctx); err != nil {
			tb.Errorf("Run: %v", err)
		}
	})

	server := httptest.NewUnstartedServer(nil)
	server.Config = service.HTTPServer()
	server.Start()

	w.url, w.client = server.URL, server.Client()

	tb.Cleanup(func() {
		cancel()
		running.Wait()
		_ = service.Close()
		server.CloseClientConnections()
		server.Close()
	})

	return w
}

// restartable is a gRPC server in memory that can be stopped and started again under its clients.
type restartable struct {
	register func(*grpc.Server)
	client   *grpc.ClientConn

	mu       sync.Mutex
	listener *bufconn.Listener
	server   *grpc.Server
}

func newRestartable(tb testing.TB, register func(*grpc.Server)) *restartable {
	tb.Helper()

	r := &restartable{register: register}
	r.start()

	client, err := rpc.Dial("passthrough:///memory", rpctest.Identity(tb, "anyone"), rpc.ClientConfig{
		Credentials: rpctest.NewCA(tb).Credentials(tb, rpc.Gateway),
		DialOptions: []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			r.mu.Lock()
			listener := r.listener
			r.mu.Unlock()

			if listener == nil {
				return nil, errors.New("stopped")
			}

			return listener.DialContext(ctx)
		})},
	})
	if err != nil {
		tb.Fatal(err)
	}

	r.client = client

	tb.Cleanup(func() {
		_ = client.Close()
		r.stop()
	})

	return r
}

func (r *restartable) start() {
	listener, server := bufconn.Listen(1<<16), grpc.NewServer()
	r.register(server)

	r.mu.Lock()
	r.listener, r.server = listener, server
	r.mu.Unlock()

	go func() { _ = server.Serve(listener) }()
}

func (r *restartable) stop() {
	r.mu.Lock()
	server := r.server
	r.listener, r.server = nil, nil
	r.mu.Unlock()

	if server != nil {
		server.Stop()
	}
}

// fakeAgent executes turns as its script says; by default it echoes.
type fakeAgent struct {
	handoffv1.UnimplementedHandoffServiceServer

	name   string
	store  *fakeStore
	server *restartable
	asked  chan string // turn ids, as Handoff calls come in

	mu     sync.Mutex
	split  string   // the revision where calls land that no route brings elsewhere
	routes []string // revisions that have a route
	called []string // how calls came in: tenant and asked revision -> revision where it landed
	script func(turn *contextv1.Turn) (*handoffv1.Finished, error)
	refuse error
}

func (a *fakeAgent) plays(script func(turn *contextv1.Turn) (*handoffv1.Finished, error)) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.script = script
}

func (a *fakeAgent) refuses(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.refuse = err
}

func (a *fakeAgent) Handoff(req *handoffv1.HandoffRequest, stream grpc.ServerStreamingServer[handoffv1.HandoffResponse]) error {
	a.mu.Lock()
	script, refuse := a.script, a.refuse
	a.mu.Unlock()

	a.asked <- req.GetTurnId()

	if refuse != nil {
		return refuse
	}

	turn, err := a.store.acquire(req.GetTurnId(), a.name, a.land(stream.Context()))
	if err != nil {
		return err
	}

	if script == nil {
		script = a.echo
	}

	finished, err := script(turn)
	if err != nil {
		return err
	}

	return stream.Send(&handoffv1.HandoffResponse{Report: &handoffv1.HandoffResponse_Finished{Finished: finished}})
}

// land plays the mesh: it finds the revision where a call ends up.
func (a *fakeAgent) land(ctx context.Context) string {
	header := strings.Join(metadata.ValueFromIncomingContext(ctx, "serin-revision"), ",")
	tenant := strings.Join(metadata.ValueFromIncomingContext(ctx, "serin-tenant"), ",")

	a.mu.Lock()
	defer a.mu.Unlock()

	landed := a.split
	if slices.Contains(a.routes, header) {
		landed = header
	}

	a.called = append(a.called, fmt.Sprintf("%s %q->%q", tenant, header, landed))

	return landed
}

// splits says which revisions have a route, and which one gets the rest.
func (a *fakeAgent) splits(split string, routes ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.split, a.routes = split, routes
}

func (a *fakeAgent) calls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()

	return slices.Clone(a.called)
}

// echo says the message again, in two deltas.
func (a *fakeAgent) echo(turn *contextv1.Turn) (*handoffv1.Finished, error) {
	if turn.GetCancelRequested() {
		return &handoffv1.Finished{Outcome: handoffv1.Finished_OUTCOME_CANCELLED},
			a.store.write(turn, &eventv1.TurnCancelled{By: "local", Usage: &eventv1.Usage{InputTokens: 1}})
	}

	text := "echo: " + a.text(turn)
	id := turn.GetTurnId() + "-1"

	a.store.publish(turn, &eventv1.TextDelta{MessageId: id, Text: text[:4]})
	a.store.publish(turn, &eventv1.TextDelta{MessageId: id, Offset: 4, Text: text[4:]})

	return &handoffv1.Finished{Outcome: handoffv1.Finished_OUTCOME_COMPLETED}, a.store.write(turn,
		&eventv1.AgentMessage{MessageId: id, Text: text, Simulated: true},
		&eventv1.TurnCompleted{Text: text, Usage: &eventv1.Usage{InputTokens: 3, OutputTokens: 4}})
}

func (a *fakeAgent) text(turn *contextv1.Turn) string {
	return a.store.log(turn.GetConversationId())[turn.GetAcceptedSequence()-1].GetTurnAccepted().GetText()
}

// asksApproval asks about one call, and answers once that is decided.
func (a *fakeAgent) asksApproval(turn *contextv1.Turn) (*handoffv1.Finished, error) {
	call := turn.GetTurnId() + "-1-1-0"

	for _, event := range a.store.log(turn.GetConversationId()) {
		if resolved := event.GetInputResolved(); resolved.GetCallId() == call {
			text := resolved.GetDecision().String()

			return &handoffv1.Finished{Outcome: handoffv1.Finished_OUTCOME_COMPLETED}, a.store.write(turn,
				&eventv1.AgentMessage{MessageId: "m2", Text: text}, &eventv1.TurnCompleted{Text: text})
		}
	}

	return &handoffv1.Finished{Outcome: handoffv1.Finished_OUTCOME_INPUT_REQUIRED}, a.store.write(turn,
		&eventv1.InputRequested{CallId: call, Kind: eventv1.InputRequested_KIND_APPROVAL, Tool: "refund", Question: "May I?"},
		&eventv1.TurnWaiting{CallIds: []string{call}})
}

// answer is a JSON answer over HTTP.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

// at walks into the body: at("error", "reason").
func (a answer) at(keys ...string) any {
	var value any = a.body
	for _, key := range keys {
		object, _ := value.(map[string]any)
		value = object[key]
	}

	return value
}

func (a answer) reason() any { return a.at("error", "reason") }

// violation is the message about a field.
func (a answer) violation(field string) string {
	list, _ := a.at("error", "fieldViolations").([]any)
	for _, item := range list {
		if object, _ := item.(map[string]any); object["field"] == field {
			return object["message"].(string)
		}
	}

	return ""
}

func (w *world) request(method, path, body string, header ...string) *http.Request {
	w.t.Helper()

	req, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}

	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}

	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}

	return req
}

func (w *world) do(method, path, body string, header ...string) answer {
	w.t.Helper()

	resp, err := w.client.Do(w.request(method, path, body, header...))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()

	got := answer{status: resp.StatusCode, header: resp.Header}

	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}

	if err := json.Unmarshal(data, &got.body); err != nil {
		w.t.Fatalf("%s %s: %d %q is not a JSON object: %v", method, path, resp.StatusCode, data, err)
	}

	return got
}

// create opens a conversation and returns its id.
func (w *world) create(header ...string) string {
	w.t.Helper()

	got := w.do("POST", "/v1/conversations", "", header...)
	if got.status != http.StatusOK {
		w.t.Fatalf("create: %d %v", got.status, got.body)
	}

	return got.at("conversation", "conversationId").(string)
}

func (w *world) send(id, text string, header ...string) answer {
	w.t.Helper()

	body, err := json.Marshal(map[string]string{"text": text})
	if err != nil {
		w.t.Fatal(err)
	}

	return w.do("POST", "/v1/conversations/"+id+"/messages", string(body), header...)
}

// frame is one server-sent event, or a comment.
type frame struct {
	id, event, data, comment string
}

// frames reads a stream of server-sent events.
type frames struct {
	t    testing.TB
	resp *http.Response
	next *bufio.Scanner
}

func (w *world) sse(method, path, body string, header ...string) *frames {
	w.t.Helper()

	resp, err := w.client.Do(w.request(method, path, body, append(header, "Accept", "text/event-stream")...))
	if err != nil {
		w.t.Fatal(err)
	}

	w.t.Cleanup(func() { _ = resp.Body.Close() })

	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		data, _ := io.ReadAll(resp.Body)
		w.t.Fatalf("SSE %s: %d %s", path, resp.StatusCode, data)
	}

	scanner := bufio.NewScanner(resp.Body)
	scanner.Buffer(nil, 1<<20)
	scanner.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if at := bytes.Index(data, []byte("\n\n")); at >= 0 {
			return at + 2, data[:at], nil
		}

		if atEOF {
			return len(data), nil, nil // a frame that was cut off does not count
		}

		return 0, nil, nil
	})

	return &frames{t: w.t, resp: resp, next: scanner}
}

// read returns the next frame; false at the stream's end. The opening retry field is skipped.
func (f *frames) read() (frame, bool) {
	for f.next.Scan() {
		var got frame

		for line := range strings.Lines(f.next.Text()) {
			line = strings.TrimSuffix(line, "\n")

			switch name, value, _ := strings.Cut(line, ": "); name {
			case "id":
				got.id = value
			case "event":
				got.event = value
			case "data":
				got.data = value
			case "":
				got.comment = value
			}
		}

		if got != (frame{}) {
			return got, true
		}
	}

	return frame{}, false
}

// all reads to the end.
func (f *frames) all() []frame {
	var got []frame

	for {
		next, ok := f.read()
		if !ok {
			return got
		}

		got = append(got, next)
	}
}

// until reads up to and including an event of a name.
func (f *frames) until(event string) []frame {
	f.t.Helper()

	var got []frame

	for {
		next, ok := f.read()
		if !ok {
			f.t.Fatalf("the stream ended before %s: %v", event, got)
		}

		if got = append(got, next); next.event == event {
			return got
		}
	}
}

func (f *frames) cut() { _ = f.resp.Body.Close() }

// eventually waits until a condition holds.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()

	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			tb.Fatalf("never: %s", what)
		}

		time.Sleep(2 * time.Millisecond)
	}
}
