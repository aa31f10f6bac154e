package app_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/app"
	"github.com/serinhq/serin/internal/telemetry"
	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/loadtest/llmsim"
)

// provider is an LLM provider that fails, and waits, when it is told to.
type provider struct {
	simulator http.Handler

	mu   sync.Mutex
	fail int
	held chan struct{}
}

// startProvider has the platform's ambassador use it, two requests at a time.
func startProvider(t *testing.T) (*provider, func(*app.PlatformConfig)) {
	t.Helper()

	simulator, err := llmsim.New(llmsim.Config{})
	if err != nil {
		t.Fatal(err)
	}

	prices := filepath.Join(t.TempDir(), "prices.yaml")
	if err := os.WriteFile(prices, []byte("prices:\n  test/simulated: {input: 1, output: 2}\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	p := &provider{simulator: simulator}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)

	return p, func(config *app.PlatformConfig) {
		config.ExtraEnv = append(config.ExtraEnv, "PRIMARY_PROVIDER=test", "TEST_API_KEY=key",
			"TEST_BASE_URL="+server.URL+"/v1", "TEST_MODEL=simulated", "TEST_MAX_CONCURRENT=2", "LLM_PRICES_FILE="+prices)
	}
}

func (p *provider) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	if strings.HasSuffix(request.URL.Path, "/chat/completions") {
		p.mu.Lock()
		fail, held := p.fail > 0, p.held
		p.fail = max(p.fail-1, 0)
		p.mu.Unlock()

		if fail {
			http.Error(writer, `{"error":{"message":"out of order","type":"server_error"}}`, http.StatusInternalServerError)

			return
		}

		if held != nil {
			<-held
		}
	}

	p.simulator.ServeHTTP(writer, request)
}

// failNext has the next requests fail.
func (p *provider) failNext(requests int) {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.fail = requests
}

// hold lets no request through until the returned function is called.
func (p *provider) hold() (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()

	held := make(chan struct{})
	p.held = held

	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()

		p.held = nil
		close(held)
	}
}

// TestPrometheusAnswers has a Prometheus watch a platform at work, and compares what it says with what was done.
func TestPrometheusAnswers(t *testing.T) {
	testenv.Require(t, "prometheus")

	provider, provided := startProvider(t)
	p := startPlatform(t, provided)
	watcher := startPrometheus(t, p)

	watcher.wait("count(up == 1)", float64(len(p.platform.Summary().Workloads)))

	// What counters begin with is not seen as an increase: all that is counted must have happened before. And as a rate is
	// carried on to where a counter may have begun, all of it must have grown alike.
	provider.failNext(1)
	p.turn()

	const turns, failures, requests = 12, 12, 3 * 12

	watcher.wait("sum(serin_turn_duration_seconds_count)", 1)
	watcher.wait(`sum(serin_llm_requests_total)`, 4)

	var did work

	for range turns {
		provider.failNext(1)
		did.add(p.logged())
	}

	watcher.wait("sum(serin_turn_duration_seconds_count)", 1+turns)
	watcher.wait(`sum(serin_llm_requests_total{outcome="ok"})`, 3+requests)
	watcher.wait(`sum(serin_llm_requests_total{outcome="server_error"})`, 1+failures)

	checkLatencies(t, p, watcher, did.latencies)

	near(t, "LLM error rate", watcher.one(telemetry.QueryLLMErrors, "provider", "test").value, float64(failures)/(requests+failures))
	near(t, "tokens per request", watcher.one(telemetry.QueryUsagePerCall, "provider", "test").value, float64(did.tokens)/requests)

	for _, name := range []string{telemetry.QueryFirstWordsP95, telemetry.QueryUsagePerAgent, telemetry.QueryCost} {
		if value := watcher.one(name, "agent", "billing").value; !(value > 0) {
			t.Errorf("%s is %v", name, value)
		}
	}

	for name, label := range map[string]string{telemetry.QueryFailedTurns: "agent", telemetry.QueryToolErrors: "tool"} {
		for _, one := range watcher.query(name) {
			if one.value != 0 || one.labels[label] == "" {
				t.Errorf("%s is %v of %v, and nothing failed", name, one.value, one.labels)
			}
		}
	}

	checkGauges(t, p, watcher, provider)
	p.checkScraped(watcher)
}

// work is what turns did, as their logs say.
type work struct {
	latencies []time.Duration
	tokens    int64
}

// logged runs a turn and returns its log.
func (p *testPlatform) logged() []*eventv1.Event {
	p.t.Helper()

	conversation := p.newConversation()
	p.send(conversation, listInvoices)

	return p.events(conversation)
}

func (w *work) add(events []*eventv1.Event) {
	var accepted time.Time

	for _, event := range events {
		switch kind := event.GetKind().(type) {
		case *eventv1.Event_TurnAccepted:
			accepted = event.GetTime().AsTime()
		case *eventv1.Event_AgentMessage:
			w.tokens += kind.AgentMessage.GetUsage().GetInputTokens() + kind.AgentMessage.GetUsage().GetOutputTokens()
		case *eventv1.Event_TurnCompleted:
			w.latencies = append(w.latencies, event.GetTime().AsTime().Sub(accepted))
		}
	}
}

// checkLatencies compares quantiles with those of the logs. A histogram knows its buckets alone, so that half and twice are
// near; and the slowest turns of a busy machine may have ended in the log some time before their process noticed.
func checkLatencies(t *testing.T, p *testPlatform, watcher *prometheus, latencies []time.Duration) {
	t.Helper()

	slices.Sort(latencies)

	half, all := latencies[len(latencies)/2], latencies[len(latencies)-1]
	before := 0.0

	for _, one := range []struct {
		name  string
		exact time.Duration
		most  float64
	}{{telemetry.QueryTurnP50, half, 2}, {telemetry.QueryTurnP95, all, 4}, {telemetry.QueryTurnP99, all, 4}} {
		said := watcher.one(one.name, "agent", "billing")
		if said.value < one.exact.Seconds()/2 || said.value > one.exact.Seconds()*one.most+0.1 || said.value < before {
			t.Errorf("%s is %v s, the logs say %s", one.name, said.value, one.exact)
		}

		if said.labels["revision"] != p.rollout("billing").GetStable() {
			t.Errorf("%s is of %v", one.name, said.labels)
		}

		before = said.value
	}
}

// checkGauges looks at four turns whose provider takes two requests and answers none.
func checkGauges(t *testing.T, p *testPlatform, watcher *prometheus, provider *provider) {
	t.Helper()

	release := provider.hold()

	var turns sync.WaitGroup

	for range 4 {
		conversation := p.newConversation()

		turns.Go(func() {
			if status, body := p.call(http.MethodPost, "/v1/conversations/"+conversation+"/messages", map[string]any{"text": listInvoices}); status != http.StatusOK {
				t.Errorf("send: %d %s", status, body)
			}
		})
	}

	queries := telemetry.Queries()
	watcher.wait(queries[telemetry.QueryActive].PromQL, 4)
	watcher.wait(queries[telemetry.QueryQueueDepth].PromQL, 2)
	release()
	turns.Wait()
	watcher.wait(queries[telemetry.QueryActive].PromQL, 0)
	watcher.wait(queries[telemetry.QueryQueueDepth].PromQL, 0)
}

// checkScraped asks everything that is documented: each must at least be understood.
func (p *testPlatform) checkScraped(watcher *prometheus) {
	p.t.Helper()

	for name, query := range telemetry.Queries() {
		if _, err := watcher.ask(query.PromQL); err != nil {
			p.t.Errorf("%s: %v", name, err)
		}
	}
}

// near allows for what Prometheus does at the edges of a range.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()

	if math.IsNaN(got) || math.Abs(got-want) > 0.1*want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// TestReadmeShowsTheQueries keeps what users read and what is tested together.
func TestReadmeShowsTheQueries(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}

	for name, query := range telemetry.Queries() {
		if !strings.Contains(string(readme), query.PromQL) {
			t.Errorf("README.md does not show the query %s: %s\n%s", name, query.Title, query.PromQL)
		}
	}
}
