package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/services/contextstore"
)

// The cast of the tests.
const (
	triage  = "triage"
	billing = "billing"
	revA    = "aaaaaaaaaaaa"
	revB    = "bbbbbbbbbbbb"
	revC    = "cccccccccccc"
	acme    = "acme"
	ada     = "ada"
	bob     = "bob"
	holder1 = "process-1"
	holder2 = "process-2"
	ttl     = 5 * time.Second

	// Reasons that many tests expect.
	staleEpoch = "STALE_EPOCH"
	ended      = "TURN_ENDED"
	notOwner   = "NOT_OWNER"

	refundTool     = "refund"
	messageRequest = "msg/1"
	// patience is how long a test waits for what must happen.
	patience = 10 * time.Second
)

// tester is what a world needs of a test: testing.T and rapid.T have it.
type tester interface {
	Helper()
	Context() context.Context
	Cleanup(undo func())
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// world is a service over a store under test, its clock, and a client that can be anybody.
type world struct {
	tester

	clock   *clock
	store   contextstore.Store
	service *contextstore.Service
	client  contextv1.ContextServiceClient
	serial  int
}

// clock is a clock that stands until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.now
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.now = c.now.Add(by)
}

func newWorld(t tester, store contextstore.Store) *world {
	t.Helper()

	return newWorldWith(t, contextstore.Config{Store: store})
}

func newWorldWith(t tester, config contextstore.Config) *world {
	t.Helper()

	w := &world{tester: t, clock: &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}, store: config.Store}
	config.Now = w.clock.Now
	config.LeasePoll = cmp.Or(config.LeasePoll, time.Hour) // what must be noticed at once is noticed without polling
	config.FollowPoll = cmp.Or(config.FollowPoll, time.Hour)

	service, err := contextstore.New(config)
	if err != nil {
		t.Fatal(err)
	}

	w.service = service
	w.serve()

	return w
}

// serve makes the client: gRPC in memory, where metadata says who calls.
func (w *world) serve() {
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(
		grpc.UnaryInterceptor(func(
			ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
		) (any, error) {
			return handler(asCalled(ctx), request)
		}),
		grpc.StreamInterceptor(func(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			return handler(service, calledStream{stream})
		}),
	)
	w.service.Register(server)

	served := make(chan error, 1)

	go func() { served <- server.Serve(listener) }()

	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		w.Fatal(err)
	}

	w.client = contextv1.NewContextServiceClient(conn)

	w.Cleanup(func() {
		w.service.Drain()

		err := conn.Close()
		server.GracefulStop()

		if err := errors.Join(err, <-served, w.service.Close()); err != nil {
			w.Error(err)
		}
	})
}

const peerHeader = "storetest-peer"

// calledStream is a stream whose context knows who calls.
type calledStream struct{ grpc.ServerStream }

func (s calledStream) Context() context.Context { return asCalled(s.ServerStream.Context()) }

func asCalled(ctx context.Context) context.Context {
	names := metadata.ValueFromIncomingContext(ctx, peerHeader)
	if len(names) == 0 {
		return ctx
	}

	return rpc.ContextWithPeer(ctx, rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: "default", Name: names[0]})
}

// as returns a context for calls as a workload.
func (w *world) as(name string) context.Context {
	return metadata.AppendToOutgoingContext(w.Context(), peerHeader, name)
}

func (w *world) gateway() context.Context { return w.as(rpc.Gateway) }

// fresh returns a name that was not used before.
func (w *world) fresh(prefix string) string {
	w.serial++

	return fmt.Sprintf("%s-%d", prefix, w.serial)
}

// ok fails the test on an error.
func (w *world) ok(err error) {
	w.Helper()

	if err != nil {
		w.Fatalf("unexpected error: %v (%s)", err, fault.From(err).Reason)
	}
}

// refusal is what a refused caller is told, beside the reason.
type refusal struct {
	code     codes.Code
	metadata map[string]string
}

// refused fails the test unless err has the reason.
func (w *world) refused(err error, reason string) refusal {
	w.Helper()

	if !fault.Is(err, reason) {
		w.Fatalf("got error %v, want reason %s", err, reason)
	}

	told := fault.From(err)

	return refusal{code: told.Code, metadata: told.Metadata}
}

// same fails the test unless got is want.
func same[T comparable](w *world, what string, got, want T) {
	w.Helper()

	if got != want {
		w.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// sameList fails the test unless got is want.
func sameList(w *world, what string, got, want []string) {
	w.Helper()

	if !slices.Equal(got, want) {
		w.Fatalf("%s: got %q, want %q", what, got, want)
	}
}

// open makes a conversation that triage meets.
func (w *world) open() *contextv1.Conversation {
	w.Helper()

	response, err := w.client.CreateConversation(w.gateway(), &contextv1.CreateConversationRequest{
		RequestId: w.fresh("create"), Tenant: acme, User: ada, Agent: triage,
	})
	w.ok(err)

	return response.GetConversation()
}

// get reads a conversation.
func (w *world) get(id string) *contextv1.Conversation {
	w.Helper()

	response, err := w.client.GetConversation(w.gateway(), &contextv1.GetConversationRequest{ConversationId: id})
	w.ok(err)

	return response.GetConversation()
}

// turn reads a turn.
func (w *world) turn(id string) *contextv1.Turn {
	w.Helper()

	response, err := w.client.GetTurn(w.gateway(), &contextv1.GetTurnRequest{TurnId: id})
	w.ok(err)

	return response.GetTurn()
}

// events reads a whole log.
func (w *world) events(id string) []*eventv1.Event {
	w.Helper()

	var events []*eventv1.Event

	for {
		page, err := w.client.ReadEvents(w.gateway(), &contextv1.ReadEventsRequest{
			ConversationId: id, FromSequence: int64(len(events)) + 1,
		})
		w.ok(err)

		events = append(events, page.GetEvents()...)
		if int64(len(events)) >= page.GetVersion() {
			return events
		}
	}
}

// kinds names the events of a log.
func (w *world) kinds(id string) []string {
	w.Helper()

	events := w.events(id)
	kinds := make([]string, 0, len(events))

	for i, event := range events {
		same(w, "sequence", event.GetSequence(), int64(i)+1)
		kinds = append(kinds, kindOf(event))
	}

	return kinds
}

// append_ appends events as somebody, under a fresh request id.
func (w *world) append(
	as context.Context, conversationID string, lease *contextv1.LeaseRef, events ...*eventv1.Event,
) (*contextv1.AppendResponse, error) {
	return w.client.Append(as, &contextv1.AppendRequest{
		ConversationId: conversationID, RequestId: w.fresh("append"), Lease: lease, Events: events,
	})
}

// accept begins a turn with a deadline in a minute.
func (w *world) accept(conversationID string) *contextv1.Turn {
	w.Helper()

	response, err := w.append(w.gateway(), conversationID, nil, w.accepted(w.fresh("turn")))
	w.ok(err)

	return response.GetTurn()
}

func (w *world) accepted(turnID string) *eventv1.Event {
	return &eventv1.Event{TurnId: turnID, Kind: &eventv1.Event_TurnAccepted{TurnAccepted: &eventv1.TurnAccepted{
		Text: "hello", Deadline: timestamppb.New(w.clock.Now().Add(time.Minute)), Actors: []string{"user:ada"},
		Budget: &eventv1.Budget{Steps: 10, Tokens: 1000, Hops: 3},
	}}}
}

// acquire asks for a lease.
func (w *world) acquire(turnID, agent, revision, holder string) (*contextv1.AcquireLeaseResponse, error) {
	return w.client.AcquireLease(w.as(agent), &contextv1.AcquireLeaseRequest{
		TurnId: turnID, Agent: agent, Revision: revision, Holder: holder, Ttl: durationpb.New(ttl),
	})
}

// running makes a turn that triage executes, in a conversation of its own.
func (w *world) running() (*contextv1.Turn, *contextv1.LeaseRef) {
	w.Helper()

	turn := w.accept(w.open().GetConversationId())

	return w.lease(turn.GetTurnId(), triage, revA, holder1)
}

// lease acquires a lease that must be granted.
func (w *world) lease(turnID, agent, revision, holder string) (*contextv1.Turn, *contextv1.LeaseRef) {
	w.Helper()

	response, err := w.acquire(turnID, agent, revision, holder)
	w.ok(err)

	return response.GetTurn(), refOf(response.GetTurn())
}

func durationOf(d time.Duration) *durationpb.Duration { return durationpb.New(d) }

func refOf(turn *contextv1.Turn) *contextv1.LeaseRef {
	return &contextv1.LeaseRef{TurnId: turn.GetTurnId(), Epoch: turn.GetEpoch()}
}
