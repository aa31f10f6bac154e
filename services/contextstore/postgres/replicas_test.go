package postgres_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/postgres"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// replica is a service of its own on a database that others share.
type replica struct {
	*contextstore.Service

	store *postgres.Store
}

func replicaOf(tb testing.TB, config postgres.Config) *replica {
	tb.Helper()

	config.Logger = cmp.Or(config.Logger, slog.New(slog.DiscardHandler))

	store, err := postgres.Open(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}

	service, err := contextstore.New(contextstore.Config{Store: store, FollowPoll: time.Hour, LeasePoll: time.Hour})
	if err != nil {
		tb.Fatal(err)
	}

	tb.Cleanup(func() {
		if err := service.Close(); err != nil {
			tb.Error(err)
		}
	})

	return &replica{service, store}
}

// replicas are two services on one database.
func replicas(tb testing.TB, config postgres.Config) []*replica {
	tb.Helper()

	return []*replica{replicaOf(tb, config), replicaOf(tb, config)}
}

// peer returns a context as of a call by a workload.
func peer(ctx context.Context, name string) context.Context {
	return rpc.ContextWithPeer(ctx, rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: "default", Name: name})
}

func (r *replica) open(tb testing.TB, tenant, name string) string {
	tb.Helper()

	created, err := r.CreateConversation(peer(tb.Context(), rpc.Gateway), &contextv1.CreateConversationRequest{
		RequestId: "create-" + name, Tenant: tenant, User: "ada", Agent: "triage",
	})
	if err != nil {
		tb.Fatal(err)
	}

	return created.GetConversation().GetConversationId()
}

func accepted(turnID string) *eventv1.Event {
	return &eventv1.Event{TurnId: turnID, Kind: &eventv1.Event_TurnAccepted{TurnAccepted: &eventv1.TurnAccepted{
		Text: "hello", Deadline: timestamppb.New(time.Now().Add(time.Hour)),
	}}}
}

func part(text string) *eventv1.Event {
	return &eventv1.Event{Step: 1, Kind: &eventv1.Event_MessagePart{MessagePart: &eventv1.MessagePart{MessageId: "m1", Text: text}}}
}

func (r *replica) accept(tb testing.TB, conversation, turnID string) {
	tb.Helper()

	if _, err := r.Append(peer(tb.Context(), rpc.Gateway), &contextv1.AppendRequest{
		ConversationId: conversation, RequestId: "msg/" + turnID, Events: []*eventv1.Event{accepted(turnID)},
	}); err != nil {
		tb.Fatal(err)
	}
}

func (r *replica) acquire(ctx context.Context, turnID, holder string, ttl time.Duration) (*contextv1.Turn, error) {
	leased, err := r.AcquireLease(peer(ctx, "triage"), &contextv1.AcquireLeaseRequest{
		TurnId: turnID, Agent: "triage", Revision: "aaaaaaaaaaaa", Holder: holder, Ttl: durationpb.New(ttl),
	})

	return leased.GetTurn(), err
}

// running makes a conversation with a turn that triage executes.
func (r *replica) running(tb testing.TB, name string) *contextv1.Turn {
	tb.Helper()

	r.accept(tb, r.open(tb, "acme", name), "t-"+name)

	turn, err := r.acquire(tb.Context(), "t-"+name, "holder", time.Minute)
	if err != nil {
		tb.Fatal(err)
	}

	return turn
}

func leaseOf(turn *contextv1.Turn) *contextv1.LeaseRef {
	return &contextv1.LeaseRef{TurnId: turn.GetTurnId(), Epoch: turn.GetEpoch()}
}

func (r *replica) say(ctx context.Context, turn *contextv1.Turn, text string, expected *int64) (int64, error) {
	appended, err := r.Append(peer(ctx, "triage"), &contextv1.AppendRequest{
		ConversationId: turn.GetConversationId(), RequestId: text, Lease: leaseOf(turn), ExpectedVersion: expected,
		Events: []*eventv1.Event{part(text)},
	})

	return appended.GetVersion(), err
}

// log reads a whole log, which must have no gaps.
func (r *replica) log(tb testing.TB, conversation string) (log []*eventv1.Event) {
	tb.Helper()

	for {
		page, err := r.ReadEvents(tb.Context(), &contextv1.ReadEventsRequest{
			ConversationId: conversation, FromSequence: int64(len(log)) + 1,
		})
		if err != nil {
			tb.Fatal(err)
		}

		for _, event := range page.GetEvents() {
			if log = append(log, event); event.GetSequence() != int64(len(log)) {
				tb.Fatalf("event %d is at place %d", event.GetSequence(), len(log))
			}
		}

		if int64(len(log)) == page.GetVersion() {
			return log
		}
	}
}

// said counts the texts in a log.
func said(log []*eventv1.Event) map[string]int {
	counts := map[string]int{}

	for _, event := range log {
		if text := event.GetMessagePart().GetText(); text != "" {
			counts[text]++
		}
	}

	return counts
}

// TestManyWritersOfOneConversation: 64 writers on two replicas; the log has every event once and no gap.
func TestManyWritersOfOneConversation(t *testing.T) {
	t.Parallel()

	const writers, each = 64, 8

	both := replicas(t, postgres.Config{URL: database(t)})
	turn := both[0].running(t, "one")

	var group sync.WaitGroup

	for writer := range writers {
		group.Go(func() {
			for i := range each {
				if _, err := both[writer%2].say(t.Context(), turn, fmt.Sprintf("%d-%d", writer, i), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}

	group.Wait()

	counts := said(both[1].log(t, turn.GetConversationId()))
	for text, count := range counts {
		if count != 1 {
			t.Errorf("%s is in the log %d times", text, count)
		}
	}

	if len(counts) != writers*each {
		t.Errorf("%d events are in the log, want %d", len(counts), writers*each)
	}
}

// TestExpectedVersions: of those that expect the same version one wins, and the others are told the version.
func TestExpectedVersions(t *testing.T) {
	t.Parallel()

	const writers = 64

	both := replicas(t, postgres.Config{URL: database(t)})
	turn := both[0].running(t, "one")

	var (
		group     sync.WaitGroup
		conflicts atomic.Int64
	)

	for writer := range writers {
		group.Go(func() {
			for version := int64(4); ; {
				before := version

				_, err := both[writer%2].say(t.Context(), turn, strconv.Itoa(writer), &before)
				if err == nil {
					return
				}

				told, parsed := strconv.ParseInt(fault.From(err).Metadata["version"], 10, 64)
				if fault.CodeOf(err) != codes.Aborted || !fault.Is(err, "VERSION_CONFLICT") || parsed != nil || told <= before {
					t.Errorf("expected version %d: %v", before, err)

					return
				}

				version = told
				conflicts.Add(1)
			}
		})
	}

	group.Wait()

	log := both[1].log(t, turn.GetConversationId())
	if len(log) != 4+writers || len(said(log)) != writers {
		t.Errorf("%d events with %d texts, want %d", len(log), len(said(log)), 4+writers)
	}

	if conflicts.Load() < writers-1 {
		t.Errorf("only %d conflicts", conflicts.Load())
	}
}

// following is a follower without a network.
type following struct {
	grpc.ServerStream

	ctx context.Context

	mu     sync.Mutex
	events []*eventv1.Event
	grew   chan struct{}
}

func (f *following) Context() context.Context     { return f.ctx }
func (f *following) SendHeader(metadata.MD) error { return nil }
func (f *following) SetHeader(metadata.MD) error  { return nil }
func (f *following) SetTrailer(metadata.MD)       {}
func (f *following) SendMsg(any) error            { return errors.New("not used") }
func (f *following) RecvMsg(any) error            { return errors.New("not used") }
func (f *following) seen() (events []*eventv1.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.events
}

func (f *following) Send(response *contextv1.FollowEventsResponse) error {
	f.mu.Lock()
	defer f.mu.Unlock()

	for _, event := range response.GetEvents() {
		f.events = append(f.events, proto.CloneOf(event))
	}

	select {
	case f.grew <- struct{}{}:
	default:
	}

	return nil
}

// follow follows a log until the test ends.
func (r *replica) follow(t *testing.T, conversation string) *following {
	t.Helper()

	ctx, cancel := context.WithCancel(t.Context())
	follower := &following{ctx: peer(ctx, rpc.Gateway), grew: make(chan struct{}, 1)}
	ended := make(chan error, 1)

	go func() {
		for { // as clients do, it comes again, to where it was, once the store is back
			err := r.FollowEvents(&contextv1.FollowEventsRequest{
				ConversationId: conversation, FromSequence: int64(len(follower.seen())) + 1,
			}, follower)
			if fault.CodeOf(err) != codes.Unavailable || ctx.Err() != nil {
				ended <- err

				return
			}

			<-time.After(10 * time.Millisecond)
		}
	}()

	t.Cleanup(func() {
		cancel()

		if err := <-ended; !errors.Is(err, context.Canceled) && fault.CodeOf(err) != codes.Unavailable {
			t.Errorf("following ended with %v", err)
		}
	})

	return follower
}

// reach waits until the follower has so many events, in order and once each.
func (f *following) reach(t *testing.T, n int) {
	t.Helper()

	for over := time.After(patience); ; {
		events := f.seen()
		for i, event := range events {
			if event.GetSequence() != int64(i)+1 {
				t.Fatalf("event %d came at place %d", event.GetSequence(), i+1)
			}
		}

		if len(events) >= n {
			return
		}

		select {
		case <-f.grew:
		case <-over:
			t.Fatalf("the follower has %d events after %s, want %d", len(events), patience, n)
		}
	}
}

// TestHintsReachFollowers: without any polling, what one replica writes is seen by the other's followers.
func TestHintsReachFollowers(t *testing.T) {
	t.Parallel()

	both := replicas(t, postgres.Config{URL: database(t), Poll: time.Hour})
	turn := both[0].running(t, "one")
	follower := both[1].follow(t, turn.GetConversationId())
	follower.reach(t, 4)

	for i := range 10 {
		if _, err := both[0].say(t.Context(), turn, strconv.Itoa(i), nil); err != nil {
			t.Fatal(err)
		}

		follower.reach(t, 5+i)
	}
}

// TestFollowersMissNothing: both replicas write and are followed while the connections that listen are cut again and
// again, so that hints are lost.
func TestFollowersMissNothing(t *testing.T) {
	t.Parallel()

	const each = 100

	at := database(t)
	both := replicas(t, postgres.Config{URL: at, Poll: 100 * time.Millisecond})
	turn := both[0].running(t, "one")

	var followers []*following
	for i := range 6 {
		followers = append(followers, both[i%2].follow(t, turn.GetConversationId()))
	}

	cutting, stop := context.WithCancel(t.Context())

	var cutter, writers sync.WaitGroup

	cuts := 0

	cutter.Go(func() { cuts = cutListeners(t, cutting, at) })

	for i, replica := range both {
		writers.Go(func() {
			for n := range each {
				if _, err := replica.say(t.Context(), turn, fmt.Sprintf("%d-%d", i, n), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}

	writers.Wait()

	for _, follower := range followers {
		follower.reach(t, 4+2*each)
	}

	stop()
	cutter.Wait()

	if cuts == 0 {
		t.Error("no connection was cut")
	}
}

// cutListeners ends connections that listen until it is told to stop.
func cutListeners(t *testing.T, ctx context.Context, at string) (cuts int) {
	t.Helper()

	conn, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Error(err)

		return 0
	}
	defer conn.Close(context.Background())

	for ctx.Err() == nil {
		var cut int
		if err := conn.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND query LIKE 'LISTEN%'`).Scan(&cut); err != nil {
			t.Error(err)
		}

		cuts += cut

		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}

	return cuts
}

// TestCancelReachesTheOtherReplica: an executor that waits at one replica hears of what was appended at the other.
func TestCancelReachesTheOtherReplica(t *testing.T) {
	t.Parallel()

	both := replicas(t, postgres.Config{URL: database(t), Poll: time.Hour})
	turn := both[0].running(t, "one")
	answered := make(chan *contextv1.RenewLeaseResponse, 1)

	go func() {
		answer, err := both[0].RenewLease(peer(t.Context(), "triage"), &contextv1.RenewLeaseRequest{
			Lease: leaseOf(turn), Ttl: durationpb.New(time.Minute), Wait: durationpb.New(time.Minute),
		})
		if err != nil {
			t.Error(err)
		}

		answered <- answer
	}()

	if _, err := both[1].Append(peer(t.Context(), rpc.Gateway), &contextv1.AppendRequest{
		ConversationId: turn.GetConversationId(), RequestId: "cancel", Events: []*eventv1.Event{{
			TurnId: turn.GetTurnId(),
			Kind:   &eventv1.Event_CancelRequested{CancelRequested: &eventv1.CancelRequested{By: "ada", Reason: "enough"}},
		}},
	}); err != nil {
		t.Fatal(err)
	}

	select {
	case answer := <-answered:
		if !answer.GetCancelRequested() || answer.GetCancelReason() != "enough" {
			t.Errorf("the renewal says %v", answer)
		}
	case <-time.After(patience):
		t.Error("the executor was not told")
	}
}

// TestLeasesGoByTheDatabasesClock: the database is an hour ahead of this machine, and it is the one that decides.
func TestLeasesGoByTheDatabasesClock(t *testing.T) {
	t.Parallel()

	const skew = time.Hour

	at := database(t)
	execute(t, at, "CREATE SCHEMA skewed", `CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql
		AS $$ SELECT pg_catalog.clock_timestamp() + current_setting('serin_test.skew')::interval $$`)

	ahead := func(by time.Duration) string {
		return with(t, at, "search_path", "skewed,public,pg_catalog", "serin_test.skew", strconv.Itoa(int(by.Seconds()))+"s")
	}

	first, second := replicaOf(t, postgres.Config{URL: ahead(skew)}), replicaOf(t, postgres.Config{URL: ahead(skew)})
	first.accept(t, first.open(t, "acme", "one"), "t1")

	old, err := first.acquire(t.Context(), "t1", "holder-1", time.Minute)
	if err != nil {
		t.Fatal(err)
	}

	if left := time.Until(old.GetLeaseExpiresAt().AsTime()); left < skew || left > skew+2*time.Minute {
		t.Errorf("the lease ends in %s by this machine's clock, want an hour and a minute", left)
	}

	if _, err := second.acquire(t.Context(), "t1", "holder-2", time.Minute); !fault.Is(err, "LEASE_HELD") {
		t.Errorf("the lease was given twice: %v", err)
	}

	// Two minutes later by the database; this machine's clock has hardly moved.
	later := replicaOf(t, postgres.Config{URL: ahead(skew + 2*time.Minute)})

	next, err := later.acquire(t.Context(), "t1", "holder-2", time.Minute)
	if err != nil || next.GetEpoch() != old.GetEpoch()+1 {
		t.Fatalf("the lost lease was not taken over: %v, %v", next, err)
	}

	if _, err := first.say(t.Context(), old, "late", nil); !fault.Is(err, "STALE_EPOCH") {
		t.Errorf("a fenced executor wrote: %v", err)
	}

	if _, err := second.say(t.Context(), next, "in time", nil); err != nil {
		t.Error(err)
	}
}

// TestOneLeaseForManyReplicas: of many who ask at once, on two replicas, one gets it.
func TestOneLeaseForManyReplicas(t *testing.T) {
	t.Parallel()

	both := replicas(t, postgres.Config{URL: database(t)})
	both[0].accept(t, both[0].open(t, "acme", "one"), "t1")

	var (
		group   sync.WaitGroup
		granted atomic.Int64
	)

	for i := range 16 {
		group.Go(func() {
			switch _, err := both[i%2].acquire(t.Context(), "t1", strconv.Itoa(i), time.Minute); {
			case err == nil:
				granted.Add(1)
			case !fault.Is(err, "LEASE_HELD"):
				t.Error(err)
			}
		})
	}

	group.Wait()

	if granted.Load() != 1 {
		t.Errorf("%d got the lease", granted.Load())
	}
}

// TestWithdrawalFencesOnBothReplicas: no lease on a withdrawn revision survives a fence, whenever it was asked for.
func TestWithdrawalFencesOnBothReplicas(t *testing.T) {
	t.Parallel()

	const turns = 32

	both := replicas(t, postgres.Config{URL: database(t)})
	for i := range turns {
		name := strconv.Itoa(i)
		both[i%2].accept(t, both[i%2].open(t, "acme", name), "t"+name)
	}

	var (
		group  sync.WaitGroup
		leases [turns]*contextv1.Turn
	)

	for i := range turns {
		group.Go(func() {
			leased, err := both[i%2].acquire(t.Context(), "t"+strconv.Itoa(i), "holder", time.Minute)
			if err != nil && !fault.Is(err, "REVISION_WITHDRAWN") {
				t.Error(err)
			}

			leases[i] = leased
		})
	}

	group.Go(func() {
		if _, err := both[0].Withdraw(peer(t.Context(), rpc.Controller), &contextv1.WithdrawRequest{
			Agent: "triage", Revision: "aaaaaaaaaaaa", Replacement: "bbbbbbbbbbbb", Attempt: 1, Cause: "aborted", Fence: true,
		}); err != nil {
			t.Error(err)
		}
	})
	group.Wait()

	for i, lease := range leases {
		if lease == nil {
			continue
		}

		if _, err := both[i%2].say(t.Context(), lease, "late", nil); !fault.Is(err, "STALE_EPOCH") {
			t.Errorf("turn %d goes on with the withdrawn revision: %v", i, err)
		}
	}
}

// TestGuessesAreChecked: a process that takes for granted what it wrote last is right as long as it is alone, and loses
// nothing of what others write.
func TestGuessesAreChecked(t *testing.T) {
	t.Parallel()

	both := replicas(t, postgres.Config{URL: database(t)})
	turn := both[0].running(t, "one")
	say := func(replica *replica, text string) error {
		_, err := replica.say(t.Context(), turn, text, nil)

		return err
	}

	for i := range 10 {
		if err := say(both[0], "alone "+strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}

	if right, wrong := both[0].store.Guesses(); right < 7 || wrong != 0 {
		t.Errorf("%d guesses were right and %d wrong", right, wrong)
	}

	// Again under the same request id, and with a version that is not the log's.
	if _, err := both[0].say(t.Context(), turn, "alone 9", nil); err != nil {
		t.Error(err)
	}

	if _, err := both[0].say(t.Context(), turn, "expects", new(int64(3))); !fault.Is(err, "VERSION_CONFLICT") {
		t.Errorf("got %v", err)
	}

	// Another replica writes to the log, and to the turn alone.
	if err := errors.Join(say(both[0], "warm"), say(both[0], "warmer"), say(both[1], "between"), say(both[0], "after")); err != nil {
		t.Fatal(err)
	}

	renewed, err := both[1].RenewLease(peer(t.Context(), "triage"), &contextv1.RenewLeaseRequest{
		Lease: leaseOf(turn), Ttl: durationpb.New(10 * time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}

	if _, err := both[0].Append(peer(t.Context(), "triage"), &contextv1.AppendRequest{
		ConversationId: turn.GetConversationId(), RequestId: "step", Lease: leaseOf(turn),
		Events: []*eventv1.Event{{Step: 2, Kind: &eventv1.Event_StepStarted{StepStarted: &eventv1.StepStarted{}}}},
	}); err != nil {
		t.Fatal(err)
	}

	found, err := both[0].GetTurn(peer(t.Context(), "triage"), &contextv1.GetTurnRequest{TurnId: turn.GetTurnId()})
	if err != nil || !found.GetTurn().GetLeaseExpiresAt().AsTime().Equal(renewed.GetExpiresAt().AsTime()) {
		t.Errorf("the lease that was renewed elsewhere ends at %v, want %v (%v)",
			found.GetTurn().GetLeaseExpiresAt().AsTime(), renewed.GetExpiresAt().AsTime(), err)
	}

	if err := errors.Join(say(both[0], "warm again"), say(both[0], "warmer again")); err != nil {
		t.Fatal(err)
	}

	if _, err := both[1].Withdraw(peer(t.Context(), rpc.Controller), &contextv1.WithdrawRequest{
		Agent: "triage", Revision: "aaaaaaaaaaaa", Replacement: "bbbbbbbbbbbb", Attempt: 1, Cause: "aborted", Fence: true,
	}); err != nil {
		t.Fatal(err)
	}

	if err := say(both[0], "late"); !fault.Is(err, "STALE_EPOCH") {
		t.Errorf("a fenced executor wrote: %v", err)
	}

	counts := said(both[1].log(t, turn.GetConversationId()))
	for text, count := range counts {
		if count != 1 {
			t.Errorf("%q is in the log %d times", text, count)
		}
	}

	if len(counts) != 16 {
		t.Errorf("the log has %d texts, want 16: %v", len(counts), counts)
	}
}

// TestAHandoffAnswersWithTheNewOwnersPin: whatever is remembered of the one who hands off.
func TestAHandoffAnswersWithTheNewOwnersPin(t *testing.T) {
	t.Parallel()

	replica := replicaOf(t, postgres.Config{URL: database(t)})
	turn := replica.running(t, "one")

	if err := replica.store.Update(t.Context(), contextstore.About{Conversation: turn.GetConversationId()}, func(tx contextstore.Tx) error {
		return tx.PutPin(turn.GetConversationId(), "billing", "bbbbbbbbbbbb")
	}); err != nil {
		t.Fatal(err)
	}

	for i := range 4 {
		if _, err := replica.say(t.Context(), turn, strconv.Itoa(i), nil); err != nil {
			t.Fatal(err)
		}
	}

	before, _ := replica.store.Guesses()
	if before == 0 {
		t.Fatal("nothing was guessed")
	}

	handed, err := replica.Append(peer(t.Context(), "triage"), &contextv1.AppendRequest{
		ConversationId: turn.GetConversationId(), RequestId: "handoff", Lease: leaseOf(turn),
		Events: []*eventv1.Event{{Step: 1, Kind: &eventv1.Event_Handoff{Handoff: &eventv1.Handoff{
			FromAgent: "triage", ToAgent: "billing", Reason: "an invoice",
		}}}},
	})
	if err != nil || handed.GetTurn().GetAgent() != "billing" || handed.GetTurn().GetPinnedRevision() != "bbbbbbbbbbbb" {
		t.Errorf("the turn is %v (%v), want it to be billing's with its pin", handed.GetTurn(), err)
	}
}

// TestATurnThatWasRolledBackIsNobodys: its id may become another conversation's turn.
func TestATurnThatWasRolledBackIsNobodys(t *testing.T) {
	t.Parallel()

	both := replicas(t, postgres.Config{URL: database(t)})
	mine, theirs := both[0].open(t, "acme", "a"), both[1].open(t, "other", "b")
	dropped := errors.New("dropped")

	both[0].log(t, mine) // so that it is known whose it is

	if err := both[0].store.Update(t.Context(), contextstore.About{Conversation: mine, NewTurn: "same"}, func(tx contextstore.Tx) error {
		return errors.Join(tx.PutTurn(contextstore.Turn{Turn: &contextv1.Turn{TurnId: "same", ConversationId: mine}}), dropped)
	}); !errors.Is(err, dropped) {
		t.Fatal(err)
	}

	both[1].accept(t, theirs, "same")

	found, err := both[0].GetTurn(peer(t.Context(), "triage"), &contextv1.GetTurnRequest{TurnId: "same"})
	if err != nil || found.GetTurn().GetConversationId() != theirs {
		t.Errorf("got %v, %v", found, err)
	}
}

// TestOneTurnIDForTwoConversations: an id that two conversations use at once becomes the turn of one of them.
func TestOneTurnIDForTwoConversations(t *testing.T) {
	t.Parallel()

	both := replicas(t, postgres.Config{URL: database(t)})
	ids := []string{both[0].open(t, "acme", "a"), both[1].open(t, "other", "b")}

	var (
		group sync.WaitGroup
		errs  [2]error
	)

	for i := range both {
		group.Go(func() {
			_, errs[i] = both[i].Append(peer(t.Context(), rpc.Gateway), &contextv1.AppendRequest{
				ConversationId: ids[i], RequestId: "msg", Events: []*eventv1.Event{accepted("same")},
			})
		})
	}

	group.Wait()

	if (errs[0] == nil) == (errs[1] == nil) {
		t.Fatalf("want one to succeed: %v, %v", errs[0], errs[1])
	}
}

// with adds settings to a URL.
func with(tb testing.TB, at string, settings ...string) string {
	tb.Helper()

	parsed, err := url.Parse(at)
	if err != nil {
		tb.Fatal(err)
	}

	query := parsed.Query()
	for i := 0; i < len(settings); i += 2 {
		query.Set(settings[i], settings[i+1])
	}

	parsed.RawQuery = query.Encode()

	return parsed.String()
}

func execute(tb testing.TB, at string, statements ...string) {
	tb.Helper()

	conn, err := pgx.Connect(tb.Context(), at)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())

	for _, statement := range statements {
		if _, err := conn.Exec(tb.Context(), statement); err != nil {
			tb.Fatalf("%s: %v", strings.Fields(statement)[0:2], err)
		}
	}
}
