package app_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	_ "modernc.org/sqlite" // the bare store of the baseline

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/identity"
)

const listInvoices = "List the customer invoices of the last months"

// BenchmarkTurn is what the platform costs: a turn with one handoff and one tool call, the simulated provider at no
// latency, over REST. Beside it all RPCs, model requests and commits of such a turn replayed bare: the same number of
// unary mTLS calls of grpc-go and of SQLite commits, one after the other, and nothing else.
func BenchmarkTurn(b *testing.B) {
	p := startPlatform(b)
	p.turn() // pins, pools and caches are warm

	var turns []time.Duration

	before := p.traffic()

	b.Run("platform", func(b *testing.B) {
		turns = nil
		before = p.traffic()

		for b.Loop() {
			turns = append(turns, p.turn())
		}

		b.ReportMetric(milliseconds(median(turns)), "ms/turn-p50")
	})

	used := p.traffic().minus(before).per(len(turns))
	b.Run("bare", func(b *testing.B) {
		bare := startBare(b)
		replays := []time.Duration{}

		for b.Loop() {
			replays = append(replays, bare.replay(used))
		}

		b.ReportMetric(milliseconds(median(replays)), "ms/turn-p50")
		b.ReportMetric(used.rpcs, "rpcs/turn")
		b.ReportMetric(used.models, "model-requests/turn")
		b.ReportMetric(used.commits, "commits/turn")
		b.ReportMetric(float64(median(replays))/float64(median(turns)), "platform-rate/bare-rate")
		b.ReportMetric(milliseconds(median(turns)-median(replays)), "overhead-ms/turn")
	})
}

func milliseconds(duration time.Duration) float64 {
	return float64(duration) / float64(time.Millisecond)
}

func median(durations []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(durations))

	return sorted[len(sorted)/2]
}

// turn runs one turn in a new conversation and returns how long the turn took.
func (p *testPlatform) turn() time.Duration {
	p.t.Helper()

	conversation := p.newConversation()
	start := time.Now()
	turn := p.send(conversation, listInvoices)
	took := time.Since(start)

	handedOff := slices.Equal(turn.GetPath(), []string{"triage", "billing"})
	usedTool := strings.Contains(turn.GetText(), "INV-")

	if turn.GetState() != conversationv1.TurnState_TURN_STATE_COMPLETED || !handedOff || !usedTool {
		p.t.Fatalf("turn %v", turn)
	}

	return took
}

// traffic is what turns make the platform do.
type traffic struct{ rpcs, models, commits float64 }

func (t traffic) minus(before traffic) traffic {
	return traffic{t.rpcs - before.rpcs, t.models - before.models, t.commits - before.commits}
}

func (t traffic) per(turns int) traffic {
	n := float64(turns)

	return traffic{t.rpcs / n, t.models / n, t.commits / n}
}

// served matches the counters of served RPCs and of model requests.
var served = regexp.MustCompile(`^(?:rpc_server_call_duration_seconds_count\{.*rpc_method="([^"]+)".*|serin_(llm)_requests_total\{.*)\} (\S+)$`)

// traffic adds up what all workloads have served of turns; the poller's and probes' calls are not of turns.
func (p *testPlatform) traffic() traffic {
	p.t.Helper()

	writes := []string{"Append", "AcquireLease", "ReleaseLease", "ClaimCall", "CompleteCall", "SaveCheckpoint", "RenewLease"}
	sum := traffic{}

	for _, workload := range p.platform.Summary().Workloads {
		response, err := http.Get(workload.Pages + "/metrics")
		if err != nil {
			p.t.Fatal(err)
		}

		for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
			match := served.FindStringSubmatch(scanner.Text())
			if match == nil {
				continue
			}

			count, _ := strconv.ParseFloat(match[3], 64)
			method := match[1][strings.LastIndex(match[1], "/")+1:]

			switch {
			case match[2] != "":
				sum.models += count
			case slices.Contains([]string{"Check", "ListResumableTurns", "CreateConversation", "ListTools"}, method):
			default:
				sum.rpcs += count

				if slices.Contains(writes, method) {
					sum.commits += count
				}
			}
		}

		response.Body.Close()
	}

	return sum
}

// bareStack is grpc-go with mTLS and SQLite with the same durability, and nothing of ours but the certificates.
type bareStack struct {
	t      testing.TB
	client grpc_health_v1.HealthClient
	db     *sql.DB
}

func startBare(b *testing.B) *bareStack {
	b.Helper()

	dir := b.TempDir()
	id := rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: "default", Name: "bare"}

	ca, err := identity.OpenCA(filepath.Join(dir, "ca"), identity.CAConfig{TrustDomain: rpc.DefaultTrustDomain})
	if err != nil {
		b.Fatal(err)
	}

	if err := ca.Issue(filepath.Join(dir, "bare"), id.String()); err != nil {
		b.Fatal(err)
	}

	source, err := identity.Watch(b.Context(), filepath.Join(dir, "bare"))
	if err != nil {
		b.Fatal(err)
	}

	own := rpc.Credentials{SVID: source, Bundle: source}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(own.ServerTLS(nil))))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}

	go server.Serve(listener)
	b.Cleanup(server.Stop)

	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(own.ClientTLS(id))))
	if err != nil {
		b.Fatal(err)
	}

	b.Cleanup(func() { _ = conn.Close() })

	db, err := sql.Open("sqlite", filepath.Join(dir, "bare.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)")
	if err != nil {
		b.Fatal(err)
	}

	b.Cleanup(func() { _ = db.Close() })

	if _, err := db.ExecContext(b.Context(), "CREATE TABLE events (sequence INTEGER PRIMARY KEY, payload BLOB)"); err != nil {
		b.Fatal(err)
	}

	return &bareStack{b, grpc_health_v1.NewHealthClient(conn), db}
}

// replay makes the calls and commits of one turn. A model request is two calls: to the ambassador and on to the provider.
func (s *bareStack) replay(used traffic) time.Duration {
	s.t.Helper()

	start := time.Now()

	for range int(used.rpcs + 2*used.models + 0.5) {
		if _, err := s.client.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
			s.t.Fatal(err)
		}
	}

	for i := range int(used.commits + 0.5) {
		if _, err := s.db.Exec("INSERT INTO events (payload) VALUES (?)", fmt.Sprintf("%0500d", i)); err != nil {
			s.t.Fatal(err)
		}
	}

	return time.Since(start)
}
