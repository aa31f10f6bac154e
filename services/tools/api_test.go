package tools

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

const ledgerInput = `{"type":"object","required":["account"],"additionalProperties":false,` +
	`"properties":{"account":{"type":"string"},"amount":{"type":"integer","minimum":1}}}`

// ledger is an HTTP API with a tool that reads and one that writes.
func ledger(url string) agentspec.MCPServer {
	return agentspec.MCPServer{
		Metadata: agentspec.Metadata{Name: "ledger"},
		Spec: agentspec.MCPServerSpec{
			URL: url, AllowPrivate: true,
			Headers: []agentspec.Header{{Name: "X-Team", Value: "billing"}},
			Auth:    &agentspec.Auth{BearerEnv: "LEDGER_TOKEN"},
			HTTP: []agentspec.HTTPTool{
				{
					Name: "balance", Description: "Tells a balance.", Method: http.MethodGet, Path: "/accounts/{account}",
					Input: agentspec.Object(ledgerInput), Output: agentspec.Object(`{"type":"object","required":["cents"]}`),
				},
				{
					Name: "book", Description: "Books an amount.", Method: http.MethodPost, Path: "/accounts/{account}/entries",
					Input: agentspec.Object(ledgerInput),
				},
			},
		},
	}
}

// withLedger serves the API with a handler, and has the house know it.
func withLedger(t *testing.T, handle http.HandlerFunc) func(*Config) {
	t.Helper()

	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)

	return func(config *Config) {
		config.Servers = []agentspec.MCPServer{ledger(server.URL)}
		config.Grants = map[string][]agentspec.Tool{"billing": {{Name: "ledger_*"}}}
		config.Getenv = func(name string) string { return "secret of " + name }
	}
}

func TestHTTPTools(t *testing.T) {
	var requests, keys []string

	tools := newHouse(t, withLedger(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests = append(requests, r.Method+" "+r.URL.String()+" "+string(body)+" "+r.Header.Get("Authorization")+" "+r.Header.Get("X-Team"))
		keys = append(keys, r.Header.Get("Idempotency-Key"))

		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{ "cents": 12345678901234567890 }`)
	})).move()

	listed, err := tools.client.ListTools(as(t.Context(), "billing"), &toolsv1.ListToolsRequest{})
	if err != nil || fmt.Sprint(names(listed.GetTools())) != "[ledger_balance ledger_book]" {
		t.Fatalf("%v %v", listed, err)
	}

	if about := listed.GetTools(); !about[0].GetIdempotent() || about[1].GetIdempotent() || about[0].GetOutputSchema() == "" ||
		about[1].GetDescription() != "Books an amount." {
		t.Errorf("%v", about)
	}

	if err := tools.service.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}

	for _, call := range []string{"balance", "book"} {
		got := tools.execute(call, "ledger_"+call, `{"account":"a 1","amount":5}`)
		wantOutcome(t, got, ok)

		if got.result.GetOutput() != `{"cents":12345678901234567890}` {
			t.Errorf("%s: %q", call, got.result.GetOutput())
		}
	}

	wantOutcome(t, tools.execute("bad", "ledger_book", `{"account":"a","amount":0}`), failure)
	wantOutcome(t, tools.execute("away", "ledger_book", `{"account":".."}`), failure)

	want := []string{
		"GET /accounts/a%201?amount=5  Bearer secret of LEDGER_TOKEN billing",
		`POST /accounts/a%201/entries {"amount":5} Bearer secret of LEDGER_TOKEN billing`,
	}
	if fmt.Sprintf("%q", requests) != fmt.Sprintf("%q", want) || keys[0]+keys[1] != "" {
		t.Errorf("the server saw %q with keys %q, want %q", requests, keys, want)
	}
}

// TestHTTPToolsThatGoWrong: an answer is the tool's, whatever it says; none leaves open what a call that writes did.
func TestHTTPToolsThatGoWrong(t *testing.T) {
	var (
		asked atomic.Int32
		act   atomic.Pointer[func(http.ResponseWriter, int32) bool]
	)

	house := newHouse(t, withLedger(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		(*act.Load())(w, asked.Add(1))
	}))
	tools := house.move()

	for i, test := range []struct {
		name        string
		act         func(http.ResponseWriter, int32) bool
		reads       int32 // how often what reads is sent
		read, write eventv1.ToolResult_Outcome
		text        string
	}{
		{"404", answerWith(http.StatusNotFound, "no such account"), 1, failure, failure, "HTTP 404 Not Found: no such account"},
		{"500", answerWith(http.StatusInternalServerError, strings.Repeat("x", 1<<20)), 1, failure, failure, "HTTP 500 Internal Server Error: xxx"},
		{"304", answerWith(http.StatusNotModified, ""), 1, failure, failure, "HTTP 304 Not Modified"},
		{"429", answerWith(http.StatusTooManyRequests, ""), maxAttempts, failure, failure, "HTTP 429 Too Many Requests"},
		{"503", answerWith(http.StatusServiceUnavailable, ""), maxAttempts, failure, failure, "HTTP 503 Service Unavailable"},
		{"504", answerWith(http.StatusGatewayTimeout, "upstream"), maxAttempts, failure, unknown, "HTTP 504 Gateway Timeout: upstream"},
		{"hang up", hangUp, maxAttempts, failure, unknown, "EOF"},
		{"hang up while it answers", func(w http.ResponseWriter, _ int32) bool {
			w.Header().Set("Content-Length", "100")

			return answerWith(http.StatusOK, "some")(w, 0)
		}, maxAttempts, failure, unknown, "unexpected EOF"},
	} {
		act.Store(&test.act)
		asked.Store(0)

		read := tools.execute(fmt.Sprint("r", i), "ledger_balance", `{"account":"a"}`)
		// Go's client sends it once more by itself where a connection that was kept turns out to have ended.
		if n := asked.Load(); n != test.reads && (test.reads == 1 || n != test.reads+1) {
			t.Errorf("%s: what reads was sent %d times, want %d", test.name, asked.Load(), test.reads)
		}

		asked.Store(0)

		write := tools.execute(fmt.Sprint("w", i), "ledger_book", `{"account":"a"}`)
		if asked.Load() != 1 {
			t.Errorf("%s: what writes was sent %d times", test.name, asked.Load())
		}

		wantOutcome(t, read, test.read)
		wantOutcome(t, write, test.write)

		for _, got := range []answer{read, write} {
			if output := got.result.GetOutput(); !strings.Contains(output, test.text) || len(output) > 2*maxProblem {
				t.Errorf("%s: %.200q, want %q", test.name, output, test.text)
			}
		}
	}

	broken := answerWith(http.StatusOK, `not what was promised`)
	act.Store(&broken)

	if got := tools.execute("broken", "ledger_balance", `{"account":"a"}`); !strings.Contains(got.result.GetOutput(), "does not match its output schema") {
		t.Errorf("%v", got.result)
	}
}

func TestHTTPToolThatIsDeclaredIdempotent(t *testing.T) {
	var keys []string

	yes := true
	tools := newHouse(t, withLedger(t, func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		if len(keys) == 1 {
			hangUp(w, 1)
		}

		_, _ = io.WriteString(w, "booked")
	}), func(config *Config) {
		config.Servers[0].Spec.Tools = map[string]agentspec.ToolSettings{"book": {Idempotent: &yes}}
	}).move()

	wantOutcome(t, tools.execute("twice", "ledger_book", `{"account":"a"}`), ok)

	if fmt.Sprint(keys) != "[twice twice]" {
		t.Errorf("keys %q: the server must be able to tell that it is the same call", keys)
	}
}

func TestHTTPToolTimesOut(t *testing.T) {
	gone := make(chan struct{}, 2)
	tools := newHouse(t, withLedger(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()

		gone <- struct{}{}
	}), func(config *Config) {
		config.Servers[0].Spec.Defaults.Timeout = agentspec.Duration(100 * time.Millisecond)
	}).move()

	wantOutcome(t, tools.execute("reads", "ledger_balance", `{"account":"a"}`), failure)
	wantOutcome(t, tools.execute("writes", "ledger_book", `{"account":"a"}`), unknown)
	<-gone
	<-gone
}

func TestHTTPAnswersAreBounded(t *testing.T) {
	tools := newHouse(t, withLedger(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")

		for range 100 { // 100 MiB, if anybody reads them
			if _, err := io.WriteString(w, strings.Repeat("x", 1<<20)); err != nil {
				return
			}
		}
	})).move()

	got := tools.execute("big", "ledger_book", `{"account":"a"}`)
	wantOutcome(t, got, ok)

	if len(got.result.GetOutput()) > defaultMaxOutputBytes+100 {
		t.Errorf("%d bytes", len(got.result.GetOutput()))
	}
}

// TestHTTPToolsThatCanNotBeReached: the call did not run, whatever it would have done.
func TestHTTPToolsThatCanNotBeReached(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()

	for url, want := range map[string]string{
		server.URL:                    "connection refused",
		"http://169.254.169.254/":     "169.254.169.254 is a link-local address",
		"http://nothing.invalid/":     "nothing.invalid",
		"https://[64:ff9b::a9fe:1]:1": "is a link-local address",
	} {
		tools := newHouse(t, func(config *Config) {
			config.Servers = []agentspec.MCPServer{ledger(url)}
			config.Grants = map[string][]agentspec.Tool{"billing": {{Name: "ledger_*"}}}
			config.Getenv = func(string) string { return "secret" }
		}).move()

		got := tools.execute("c", "ledger_book", `{"account":"a"}`)
		wantOutcome(t, got, failure)

		if output := got.result.GetOutput(); !strings.Contains(output, "The tool did not run") || !strings.Contains(output, want) {
			t.Errorf("%s: %q, want %q", url, output, want)
		}
	}
}

// TestHTTPServerThatIsWrong: what is wrong with one is told, and keeps nobody from the others' tools.
func TestHTTPServerThatIsWrong(t *testing.T) {
	tools := newHouse(t, func(config *Config) {
		wrong := ledger("http://127.0.0.1:1")
		wrong.Spec.HTTP[0].Path = "/accounts/{number}"
		config.Servers = append(config.Servers, wrong)
		config.Grants["billing"] = append(config.Grants["billing"], agentspec.Tool{Name: "ledger_*"})
	}).move()

	wantOutcome(t, tools.execute("fine", "puppet_echo", `{}`), ok)

	got := tools.execute("wrong", "ledger_book", `{}`)
	if !fault.Is(got.err, "TOOL_SERVER_DOWN") || !strings.Contains(got.err.Error(), "spec.http[0]: path: {number} must be a property of input") {
		t.Errorf("%v", got.err)
	}

	if err := tools.service.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "{number}") {
		t.Errorf("ready: %v", err)
	}
}

func TestCheck(t *testing.T) {
	for want, change := range map[string]func(*agentspec.MCPServerSpec){
		"": func(*agentspec.MCPServerSpec) {},
		"spec.url: 10.0.0.1 is a private address, and the declaration does not say allowPrivate: true": func(s *agentspec.MCPServerSpec) {
			s.URL, s.AllowPrivate = "http://10.0.0.1/", false
		},
		"spec.url: localhost is an address of this machine, and the declaration does not say allowPrivate: true": func(s *agentspec.MCPServerSpec) {
			s.URL, s.AllowPrivate = "http://localhost:8080/", false
		},
		"spec.url: 169.254.169.254 is a link-local address, where clouds keep their secrets": func(s *agentspec.MCPServerSpec) {
			s.URL, s.HTTP = "http://169.254.169.254", nil
		},
		"spec.http[0]: input: reading the schema: ": func(s *agentspec.MCPServerSpec) {
			s.HTTP[0].Input = agentspec.Object(`{"type":"object","properties":{"account":{"type":5}},"required":["account"]}`)
		},
		"spec.http[1]: output: ":                           func(s *agentspec.MCPServerSpec) { s.HTTP[1].Output = agentspec.Object(`{"$ref":"#"}`) },
		"spec.tools.refund: there is no tool of this name": func(s *agentspec.MCPServerSpec) { s.Tools = map[string]agentspec.ToolSettings{"refund": {}} },
	} {
		server := ledger("https://api.example.com")
		change(&server.Spec)

		problems := Check(&server)
		if want == "" && len(problems) > 0 || want != "" && (len(problems) != 1 || !strings.HasPrefix(problems[0].String(), want)) {
			t.Errorf("%v, want %q", problems, want)
		}
	}

	if problems := Check(&agentspec.MCPServer{Spec: agentspec.MCPServerSpec{Command: []string{"x"}}}); problems != nil {
		t.Errorf("a command: %v", problems)
	}
}
