package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/sqlite"
)

// BenchmarkAppend measures appends of one event beside bare inserts of the same bytes, one transaction each, with the
// same durability, in the same run. The metric ratio is appends per second over bare inserts per second.
func BenchmarkAppend(b *testing.B) {
	for _, goroutines := range []int{1, 16} {
		name := "serial"
		if goroutines > 1 {
			name = fmt.Sprintf("parallel-%d", goroutines)
		}

		b.Run(name, func(b *testing.B) {
			bare := newBare(b)
			appending := newAppending(b, goroutines)

			b.ResetTimer()

			bareTime, appendTime := time.Duration(0), time.Duration(0)
			for done := 0; done < b.N; done += 500 { // in turns, so that both meet the same weather
				n := min(500, b.N-done)
				bareTime += spread(n, goroutines, bare.insert)
				appendTime += spread(n, goroutines, appending.append)
			}

			b.ReportMetric(float64(b.N)/appendTime.Seconds(), "appends/s")
			b.ReportMetric(float64(b.N)/bareTime.Seconds(), "bare/s")
			b.ReportMetric(bareTime.Seconds()/appendTime.Seconds(), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// spread runs n operations over goroutines and returns how long they took in all.
func spread(n, goroutines int, operation func(goroutine int)) time.Duration {
	var (
		taken atomic.Int64
		done  = make(chan struct{})
		begin = time.Now()
	)

	for goroutine := range goroutines {
		go func() {
			for taken.Add(1) <= int64(n) {
				operation(goroutine)
			}

			done <- struct{}{}
		}()
	}

	for range goroutines {
		<-done
	}

	return time.Since(begin)
}

var benchText = strings.Repeat("the quick brown fox ", 10)

// bare inserts rows without any platform around them.
type bare struct {
	b         *testing.B
	statement *sql.Stmt
	data      []byte
	sequence  atomic.Int64
}

func newBare(b *testing.B) *bare {
	b.Helper()

	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "bare.db")+
		"?_busy_timeout=5000&_journal_mode=WAL&_synchronous=NORMAL")
	if err != nil {
		b.Fatal(err)
	}

	b.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)

	if _, err := db.Exec("CREATE TABLE events (sequence INTEGER PRIMARY KEY, data BLOB NOT NULL)"); err != nil {
		b.Fatal(err)
	}

	statement, err := db.Prepare("INSERT INTO events (sequence, data) VALUES (?, ?)")
	if err != nil {
		b.Fatal(err)
	}

	data, err := proto.Marshal(&eventv1.Event{
		Sequence: 1, ConversationId: "c01kas2vhf0j7d9p2r4t6v8x0z2", TurnId: "t01kas2vhf0j7d9p2r4t6v8x0z2",
		Time: timestamppb.Now(), Agent: "triage", Revision: "aaaaaaaaaaaa", Epoch: 2, Segment: 1, Kind: partOf(benchText),
	})
	if err != nil {
		b.Fatal(err)
	}

	return &bare{b: b, statement: statement, data: data}
}

func (o *bare) insert(int) {
	if _, err := o.statement.Exec(o.sequence.Add(1), o.data); err != nil {
		o.b.Error(err)
	}
}

func partOf(text string) *eventv1.Event_MessagePart {
	return &eventv1.Event_MessagePart{MessagePart: &eventv1.MessagePart{MessageId: "m1", Text: text}}
}

// appending appends to one conversation per goroutine, as the agents that execute their turns.
type appending struct {
	b       *testing.B
	service *contextstore.Service
	turns   []*contextv1.Turn
	serial  atomic.Int64
}

func newAppending(b *testing.B, conversations int) *appending {
	b.Helper()

	store, err := sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(b.TempDir(), "context.db")})
	if err != nil {
		b.Fatal(err)
	}

	service, err := contextstore.New(contextstore.Config{Store: store})
	if err != nil {
		b.Fatal(err)
	}

	b.Cleanup(func() { service.Close() })

	a := &appending{b: b, service: service}
	for range conversations {
		a.turns = append(a.turns, startTurn(b, service, strconv.FormatInt(a.serial.Add(1), 10)))
	}

	return a
}

func (a *appending) append(goroutine int) {
	turn := a.turns[goroutine]
	a.write(peer(a.b.Context(), "triage"), turn.GetConversationId(), leaseOf(turn),
		&eventv1.Event{Step: 1, Kind: partOf(benchText)})
}

// BenchmarkTurn measures turns of four transactions (accepted, leased, a step begun, answered) beside four bare inserts
// each, in the same way. The metric ratio is turns per second over fours of bare inserts per second.
func BenchmarkTurn(b *testing.B) {
	bare := newBare(b)
	turns := newAppending(b, 1)
	id := turns.turns[0].GetConversationId()
	turns.end(turns.turns[0])
	b.ResetTimer()

	bareTime, turnTime := time.Duration(0), time.Duration(0)
	for done := 0; done < b.N; done += 200 {
		n := min(200, b.N-done)
		bareTime += spread(4*n, 1, bare.insert)
		turnTime += spread(n, 1, func(int) { turns.turn(id) })
	}

	b.ReportMetric(float64(b.N)/turnTime.Seconds(), "turns/s")
	b.ReportMetric(bareTime.Seconds()/turnTime.Seconds(), "ratio")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkReadEvents reads a conversation of 10,000 events, page by page.
func BenchmarkReadEvents(b *testing.B) {
	const events, page = 10000, 1000

	appending := newAppending(b, 1)
	turn := appending.turns[0]

	for range events / 100 {
		batch := make([]*eventv1.Event, 100)
		for i := range batch {
			batch[i] = &eventv1.Event{Step: 1, Kind: partOf(benchText)}
		}

		appending.write(peer(b.Context(), "triage"), turn.GetConversationId(), leaseOf(turn), batch...)
	}

	for b.Loop() {
		for from := int64(1); from <= events; from += page {
			found, err := appending.service.ReadEvents(peer(b.Context(), "triage"), &contextv1.ReadEventsRequest{
				ConversationId: turn.GetConversationId(), FromSequence: from, Limit: page,
			})
			if err != nil || len(found.GetEvents()) != page {
				b.Fatalf("%d events from %d on, %v", len(found.GetEvents()), from, err)
			}
		}
	}

	b.ReportMetric(events*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// turn runs a turn of a conversation to its end.
func (a *appending) turn(conversationID string) {
	name := "turn-" + strconv.FormatInt(a.serial.Add(1), 10)
	a.write(peer(a.b.Context(), rpc.Gateway), conversationID, nil, accepted(name))

	leased := acquired(a.b, a.service, name)
	a.write(peer(a.b.Context(), "triage"), conversationID, leaseOf(leased), &eventv1.Event{
		Step: 1, Kind: &eventv1.Event_StepStarted{StepStarted: &eventv1.StepStarted{ReservedTokens: 100}},
	})
	a.end(leased)
}

// end answers a turn.
func (a *appending) end(turn *contextv1.Turn) {
	a.write(peer(a.b.Context(), "triage"), turn.GetConversationId(), leaseOf(turn), &eventv1.Event{
		Step: 1, Kind: &eventv1.Event_AgentMessage{AgentMessage: &eventv1.AgentMessage{MessageId: "m1", Text: benchText}},
	}, &eventv1.Event{Kind: &eventv1.Event_TurnCompleted{TurnCompleted: &eventv1.TurnCompleted{Text: benchText}}})
}

func (a *appending) write(
	ctx context.Context, conversationID string, lease *contextv1.LeaseRef, events ...*eventv1.Event,
) {
	if _, err := a.service.Append(ctx, &contextv1.AppendRequest{
		ConversationId: conversationID, RequestId: "append-" + strconv.FormatInt(a.serial.Add(1), 10),
		Lease: lease, Events: events,
	}); err != nil {
		a.b.Error(err)
	}
}

func leaseOf(turn *contextv1.Turn) *contextv1.LeaseRef {
	return &contextv1.LeaseRef{TurnId: turn.GetTurnId(), Epoch: turn.GetEpoch()}
}

func accepted(turnID string) *eventv1.Event {
	return &eventv1.Event{TurnId: turnID, Kind: &eventv1.Event_TurnAccepted{TurnAccepted: &eventv1.TurnAccepted{
		Text: "hello", Deadline: timestamppb.New(time.Now().Add(time.Hour)),
	}}}
}

// acquired gives triage the lease of a turn.
func acquired(tb testing.TB, service *contextstore.Service, turnID string) *contextv1.Turn {
	tb.Helper()

	leased, err := service.AcquireLease(peer(tb.Context(), "triage"), &contextv1.AcquireLeaseRequest{
		TurnId: turnID, Agent: "triage", Revision: "aaaaaaaaaaaa", Holder: "holder", Ttl: durationpb.New(time.Minute),
	})
	if err != nil {
		tb.Fatal(err)
	}

	return leased.GetTurn()
}

// peer returns a context as of a call by a workload.
func peer(ctx context.Context, name string) context.Context {
	return rpc.ContextWithPeer(ctx, rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: "default", Name: name})
}

// startTurn makes a conversation with a turn that triage executes.
func startTurn(tb testing.TB, service *contextstore.Service, name string) *contextv1.Turn {
	tb.Helper()

	gateway := peer(tb.Context(), rpc.Gateway)

	created, err := service.CreateConversation(gateway, &contextv1.CreateConversationRequest{
		RequestId: "create-" + name, Tenant: "acme", User: "ada", Agent: "triage",
	})
	if err != nil {
		tb.Fatal(err)
	}

	if _, err = service.Append(gateway, &contextv1.AppendRequest{
		ConversationId: created.GetConversation().GetConversationId(), RequestId: "msg/1",
		Events: []*eventv1.Event{accepted("t" + name)},
	}); err != nil {
		tb.Fatal(err)
	}

	return acquired(tb, service, "t"+name)
}
