package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/supervise"
	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/services/contextstore/postgres"
)

// stores are context stores of one database, a process each, as beside an Envoy: whoever calls says who it is.
type stores struct {
	t          *testing.T
	supervisor *supervise.Supervisor
	clients    []contextv1.ContextServiceClient
	serial     atomic.Int64
}

func startStores(t *testing.T, database string, count int) *stores {
	t.Helper()

	s := &stores{t: t, supervisor: supervise.New(supervise.Config{})}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	processes := []supervise.Process{}

	for i := range count {
		processes = append(processes, s.process(i, database))
	}

	go func() { ended <- s.supervisor.Run(ctx, processes) }()

	t.Cleanup(func() {
		cancel()

		if err := <-ended; err != nil {
			t.Error(err)
		}
	})

	return s
}

// process describes a store, and makes a client of it.
func (s *stores) process(i int, database string) supervise.Process {
	s.t.Helper()

	dir, name := s.t.TempDir(), fmt.Sprintf("%s-%d", rpc.Context, i+1)
	files := []*os.File{}

	for range 2 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		s.must(err)

		file, err := listener.(*net.TCPListener).File()
		s.must(err)
		s.t.Cleanup(func() { _, _ = file.Close(), listener.Close() })

		files = append(files, file)

		if len(files) == 1 {
			s.dial(listener.Addr().String())
		}
	}

	config, err := json.Marshal(map[string]any{
		"room": "context", "name": rpc.Context, "namespace": podNamespace, "dataPlane": map[string]any{"mode": "sidecar"},
		"listeners": map[string]int{"grpc": 3, "http": 4}, "context": map[string]any{"postgres": true},
	})
	s.must(err)
	s.must(os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600))

	return supervise.Process{
		Name: name, Path: binary, Args: []string{"serve", "--config", filepath.Join(dir, "config.json")}, Files: files,
		Env: append(os.Environ(), "SERIN_POSTGRES_URL="+database), LogPath: filepath.Join(dir, "log"),
	}
}

func (s *stores) dial(address string) {
	s.t.Helper()

	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond}, MinConnectTimeout: time.Second,
		}))
	s.must(err)
	s.t.Cleanup(func() { _ = conn.Close() })

	s.clients = append(s.clients, contextv1.NewContextServiceClient(conn))
}

func (s *stores) must(err error) {
	s.t.Helper()

	if err != nil {
		s.t.Fatal(err)
	}
}

// as is a call's context, of a workload that does not wait for long.
func (s *stores) as(name string) (context.Context, context.CancelFunc) {
	id := rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: podNamespace, Name: name}
	ctx := metadata.AppendToOutgoingContext(context.WithoutCancel(s.t.Context()), "x-forwarded-client-cert", "URI="+id.String())

	return context.WithTimeout(ctx, 4*time.Second)
}

// unheard says of an error that nobody knows what became of the request. Everything else is an answer.
func unheard(err error) bool {
	code := fault.CodeOf(err)

	return code == codes.Unavailable || code == codes.DeadlineExceeded
}

// insist repeats a call until it is answered.
func (s *stores) insist(name string, call func(context.Context, contextv1.ContextServiceClient) error) {
	for deadline := time.Now().Add(patience); ; <-time.After(50 * time.Millisecond) {
		ctx, cancel := s.as(name)
		err := call(ctx, s.clients[rand.IntN(len(s.clients))])

		cancel()

		if err == nil {
			return
		}

		if !unheard(err) || time.Now().After(deadline) {
			s.t.Errorf("%v", err)

			return
		}
	}
}

const historian, historianRevision = "triage", "aaaaaaaaaaaa"

// turn begins one, and returns its conversation and id.
func (s *stores) turn() (conversation, turn string) {
	number := s.serial.Add(1)
	turn = fmt.Sprintf("t%d", number)

	s.insist(rpc.Gateway, func(ctx context.Context, store contextv1.ContextServiceClient) error {
		made, err := store.CreateConversation(ctx, &contextv1.CreateConversationRequest{
			RequestId: "create-" + turn, Tenant: "acme", User: "ada", Agent: historian,
		})
		conversation = made.GetConversation().GetConversationId()

		return err
	})

	s.insist(rpc.Gateway, func(ctx context.Context, store contextv1.ContextServiceClient) error {
		_, err := store.Append(ctx, &contextv1.AppendRequest{
			ConversationId: conversation, RequestId: "msg/" + turn, RequestDigest: "accept",
			Events: []*eventv1.Event{{TurnId: turn, Kind: &eventv1.Event_TurnAccepted{TurnAccepted: &eventv1.TurnAccepted{
				Text: "hello", Deadline: timestamppb.New(time.Now().Add(time.Hour)),
			}}}},
		})

		return err
	})

	return conversation, turn
}

func acquisition(turn, holder string, ttl time.Duration) *contextv1.AcquireLeaseRequest {
	return &contextv1.AcquireLeaseRequest{
		TurnId: turn, Agent: historian, Revision: historianRevision, Holder: holder, Ttl: durationpb.New(ttl),
	}
}

// Several clients of two context stores on one database: what they are told of appends and of leases fits together, while
// the stores are killed and the database is restarted, cut off and overcrowded.
func TestHistoryOfReplicas(t *testing.T) {
	underLoad(t)

	lasts, seed := chaosFor(t, 20*time.Second), chaosSeed(t)
	server := testenv.OwnPostgres(t, "max_connections=60", "synchronous_commit=on")
	database := server.Database(t, "")

	if _, err := postgres.Migrate(t.Context(), database, false); err != nil {
		t.Fatal(err)
	}

	s := startStores(t, database, 2)
	harm := newChaos(t, s.supervisor.Statuses, server, database)
	reigning, over := context.WithTimeout(t.Context(), lasts)

	defer over()

	var (
		group  sync.WaitGroup
		mu     sync.Mutex
		checks []func() error
		counts = map[string]int{}
	)

	for i, play := range []func(*stores, *rand.Rand) (int, func() error){
		playLog, playLog, playLog, playHeldLease, playHeldLease, playShortLease, playShortLease,
	} {
		random := rand.New(rand.NewPCG(seed, uint64(100+i)))

		group.Go(func() {
			for reigning.Err() == nil {
				operations, check := play(s, random)

				mu.Lock()
				checks = append(checks, check)
				counts["operations"] += operations
				mu.Unlock()
			}
		})
	}

	harm.reign(reigning, seed)
	group.Wait()

	for _, check := range checks {
		if err := check(); err != nil {
			t.Error(err)
		}
	}

	t.Logf("%d histories, %d operations; what happened: %v", len(checks), counts["operations"], harm.counts)
}
