package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/services/contextstore/postgres"
)

var benchText = strings.Repeat("the quick brown fox ", 10)

// benchServers are one that keeps what it acknowledged, as in production, and one that leaves the disk out: it shows what is
// spent on everything else.
var benchServers = map[string][]string{
	"durable": {"fsync=on", "synchronous_commit=on", "full_page_writes=on"},
	"no-sync": nil,
}

// BenchmarkAppend measures appends of one event beside bare pgx inserts of the same two rows (one pipelined transaction
// each, a connection per writer) on the same server, in turns. The metric ratio is appends per second over bare
// transactions per second.
func BenchmarkAppend(b *testing.B) {
	for name, settings := range benchServers {
		for _, writers := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/writers-%d", name, writers), func(b *testing.B) {
				at := benchDatabase(b, settings)
				bare, appending := newBare(b, at, writers), newAppending(b, at, writers)

				for range 2 { // statements are prepared, and caches warm
					spread(20*writers, writers, bare.insert)
					spread(20*writers, writers, appending.append)
				}

				b.ResetTimer()

				var bareTook, appendTook timing
				for done := 0; done < b.N; done += 500 { // in turns, so that both meet the same weather
					n := min(500, b.N-done)
					bareTook.add(spread(n, writers, bare.insert))
					appendTook.add(spread(n, writers, appending.append))
				}

				b.ReportMetric(appendTook.rate(), "appends/s")
				b.ReportMetric(bareTook.rate(), "bare/s")
				b.ReportMetric(appendTook.rate()/bareTook.rate(), "ratio")
				b.ReportMetric(appendTook.quantile(0.5), "p50-µs")
				b.ReportMetric(appendTook.quantile(0.99), "p99-µs")
				b.ReportMetric(bareTook.quantile(0.99), "bare-p99-µs")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkReadEvents reads a conversation of 10,000 events, page by page.
func BenchmarkReadEvents(b *testing.B) {
	const events = 10000

	appending := newAppending(b, benchDatabase(b, nil), 1)
	turn := appending.turns[0]

	for filled := 0; filled < events; filled += 100 {
		request := &contextv1.AppendRequest{
			ConversationId: turn.GetConversationId(), RequestId: "fill-" + strconv.Itoa(filled), Lease: leaseOf(turn),
		}
		for range 100 {
			request.Events = append(request.Events, part(benchText))
		}

		if _, err := appending.replica.Append(peer(b.Context(), "triage"), request); err != nil {
			b.Fatal(err)
		}
	}

	for b.Loop() {
		if log := appending.replica.log(b, turn.GetConversationId()); len(log) < events {
			b.Fatalf("%d events", len(log))
		}
	}

	b.ReportMetric(events*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func benchDatabase(b *testing.B, settings []string) string {
	b.Helper()

	server := testenv.OwnPostgres(b, settings...)
	name := server.NewName()
	server.CreateDatabase(b, name, "")

	at := server.URLOf(b, name, testenv.PostgresRole)
	if _, err := postgres.Migrate(b.Context(), at, false); err != nil {
		b.Fatal(err)
	}

	return at
}

// timing is how long operations took, and all of them together.
type timing struct {
	whole time.Duration
	each  []time.Duration
}

func (t *timing) add(more timing) {
	t.whole += more.whole
	t.each = append(t.each, more.each...)
}

func (t *timing) rate() float64 { return float64(len(t.each)) / t.whole.Seconds() }

// quantile is in microseconds.
func (t *timing) quantile(q float64) float64 {
	slices.Sort(t.each)

	return float64(t.each[min(int(q*float64(len(t.each))), len(t.each)-1)].Microseconds())
}

// spread runs n operations over writers.
func spread(n, writers int, operation func(writer int)) timing {
	var (
		group sync.WaitGroup
		taken atomic.Int64
		each  = make([]time.Duration, n)
		begin = time.Now()
	)

	for writer := range writers {
		group.Go(func() {
			for i := taken.Add(1); i <= int64(n); i = taken.Add(1) {
				began := time.Now()

				operation(writer)

				each[i-1] = time.Since(began)
			}
		})
	}

	group.Wait()

	return timing{time.Since(begin), each}
}

// bare inserts rows without any platform around them.
type bare struct {
	b        *testing.B
	pool     *pgxpool.Pool
	event    []byte
	response []byte
	sequence atomic.Int64
}

func newBare(b *testing.B, at string, writers int) *bare {
	b.Helper()
	execute(b, at, "CREATE TABLE bare_events (LIKE events INCLUDING ALL)", "CREATE TABLE bare_requests (LIKE requests INCLUDING ALL)")

	settings, err := pgxpool.ParseConfig(at)
	if err != nil {
		b.Fatal(err)
	}

	settings.MaxConns = int32(writers)

	pool, err := pgxpool.NewWithConfig(b.Context(), settings)
	if err != nil {
		b.Fatal(err)
	}

	b.Cleanup(pool.Close)

	event := part(benchText)
	event.Sequence, event.ConversationId, event.TurnId = 1, "c01kas2vhf0j7d9p2r4t6v8x0z2", "t01kas2vhf0j7d9p2r4t6v8x0z2"
	event.Agent, event.Revision, event.Epoch, event.Segment = "triage", "aaaaaaaaaaaa", 2, 1

	return &bare{
		b: b, pool: pool, event: must(proto.Marshal(event)),
		response: must(proto.Marshal(&contextv1.AppendResponse{FirstSequence: 5, Version: 5, Turn: &contextv1.Turn{
			TurnId: "t01kas2vhf0j7d9p2r4t6v8x0z2", ConversationId: "c01kas2vhf0j7d9p2r4t6v8x0z2", Tenant: "acme", User: "ada",
			Agent: "triage", Epoch: 2, LeaseHolder: "holder", PinnedRevision: "aaaaaaaaaaaa",
		}})),
	}
}

func (o *bare) insert(writer int) {
	conversation, sequence := "c01kas2vhf0j7d9p2r4t6v8x0z"+strconv.Itoa(writer), o.sequence.Add(1)
	batch := &pgx.Batch{}
	batch.Queue("INSERT INTO bare_events (conversation_id, sequence, created_at, data, tenant) VALUES ($1, $2, $3, $4, $5)",
		conversation, sequence, time.Now().UnixNano(), o.event, "acme")
	batch.Queue("INSERT INTO bare_requests (conversation_id, request_id, digest, response, tenant) VALUES ($1, $2, $3, $4, $5)",
		conversation, "append-"+strconv.FormatInt(sequence, 10), strings.Repeat("d", 71), o.response, "acme")

	if err := o.pool.SendBatch(context.Background(), batch).Close(); err != nil {
		o.b.Error(err)
	}
}

// appending appends to one conversation per writer, as the agents that execute their turns.
type appending struct {
	b       *testing.B
	replica *replica
	turns   []*contextv1.Turn
	serial  atomic.Int64
}

func newAppending(b *testing.B, at string, conversations int) *appending {
	b.Helper()

	a := &appending{b: b, replica: replicaOf(b, postgres.Config{URL: at})}
	for i := range conversations {
		a.turns = append(a.turns, a.replica.running(b, strconv.Itoa(i)))
	}

	return a
}

func (a *appending) append(writer int) {
	turn := a.turns[writer]
	if _, err := a.replica.Append(peer(a.b.Context(), "triage"), &contextv1.AppendRequest{
		ConversationId: turn.GetConversationId(), RequestId: "append-" + strconv.FormatInt(a.serial.Add(1), 10),
		Lease: leaseOf(turn), Events: []*eventv1.Event{part(benchText)},
	}); err != nil {
		a.b.Error(err)
	}
}
