package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

// front is a server over HTTP with something in front of it that gets in the way of calls.
type front struct {
	*httptest.Server

	calls atomic.Int32
	// inTheWay answers a call instead of the server; it returns false to let it through.
	inTheWay atomic.Pointer[func(w http.ResponseWriter, n int32) bool]

	mu      sync.Mutex
	headers http.Header
}

func newFront(t *testing.T, options *mcp.StreamableHTTPOptions) *front {
	t.Helper()

	server := mcp.NewServer(&mcp.Implementation{Name: "puppet"}, nil)
	addPuppetTools(server)

	inner := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, options)
	made := &front{}
	made.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))

		made.mu.Lock()
		made.headers = r.Header.Clone()
		made.mu.Unlock()

		var message struct {
			Method string `json:"method"`
		}

		_ = json.Unmarshal(body, &message)

		if message.Method == "tools/call" {
			n := made.calls.Add(1)
			if act := made.inTheWay.Load(); act != nil && (*act)(w, n) {
				return
			}
		}

		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		made.CloseClientConnections()
		made.Close()

		for session := range server.Sessions() { // those whose end was lost with their connection
			session.Close()
		}
	})

	return made
}

func (f *front) act(act func(w http.ResponseWriter, n int32) bool) {
	f.calls.Store(0)
	f.inTheWay.Store(&act)
}

// at makes the house's server the front.
func (f *front) at() func(*Config) {
	return func(config *Config) {
		spec := &config.Servers[0].Spec
		spec.Command, spec.Env, spec.URL, spec.AllowPrivate = nil, nil, f.URL, true
	}
}

func answerWith(status int, body string) func(http.ResponseWriter, int32) bool {
	return func(w http.ResponseWriter, _ int32) bool {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)

		return true
	}
}

// hangUp ends the connection without an answer.
func hangUp(http.ResponseWriter, int32) bool { panic(http.ErrAbortHandler) }

// TestWebCallsThatGoWrong: what was refused did not run, what nobody answered may have.
func TestWebCallsThatGoWrong(t *testing.T) {
	for _, stateless := range []bool{false, true} {
		t.Run(fmt.Sprint("stateless ", stateless), func(t *testing.T) {
			front := newFront(t, &mcp.StreamableHTTPOptions{Stateless: stateless})
			tools := newHouse(t, front.at()).move()
			wantOutcome(t, tools.execute("first", "puppet_echo", `{}`), ok)

			for i, test := range []struct {
				name   string
				act    func(http.ResponseWriter, int32) bool
				once   bool // what is idempotent is not sent again
				effect eventv1.ToolResult_Outcome
				text   string
			}{
				{"401", answerWith(http.StatusUnauthorized, "who are you?"), true, failure, "HTTP 401 Unauthorized: who are you?"},
				{"413", answerWith(http.StatusRequestEntityTooLarge, ""), true, failure, "HTTP 413 Request Entity Too Large"},
				{"429", answerWith(http.StatusTooManyRequests, "later"), true, failure, "HTTP 429 Too Many Requests: later"},
				{"json-rpc", answerWith(http.StatusBadRequest, `{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"bad, bad"}}`), true, failure, "refused the call: bad, bad"},
				{"503", answerWith(http.StatusServiceUnavailable, "overloaded"), false, unknown, "HTTP 503 Service Unavailable: overloaded"},
				{"500", answerWith(http.StatusInternalServerError, strings.Repeat("x", 100_000)), false, unknown, "HTTP 500 Internal Server Error: xxx"},
				{"hang up", hangUp, false, unknown, "EOF"},
			} {
				front.act(test.act)

				harmless := tools.execute(fmt.Sprint("h", i), "puppet_echo", `{"text":"x"}`)
				if want := map[bool]int32{true: 1, false: maxAttempts}[test.once]; front.calls.Load() != want {
					t.Errorf("%s: sent %d times, want %d", test.name, front.calls.Load(), want)
				}

				front.act(test.act)

				serious := tools.execute(fmt.Sprint("s", i), "puppet_effect", `{}`)
				if front.calls.Load() != 1 {
					t.Errorf("%s: sent %d times, and must be sent once", test.name, front.calls.Load())
				}

				for _, got := range []answer{harmless, serious} {
					if output := got.result.GetOutput(); !strings.Contains(output, test.text) || len(output) > 2*maxProblem {
						t.Errorf("%s: %v %q, want %q", test.name, got.err, output, test.text)
					}
				}

				wantOutcome(t, serious, test.effect)
				wantOutcome(t, harmless, failure)
			}

			// What passes is not noticed, if the call may run again.
			front.act(func(w http.ResponseWriter, n int32) bool {
				return n == 1 && answerWith(http.StatusBadGateway, "")(w, n)
			})
			wantOutcome(t, tools.execute("passes", "puppet_echo", `{}`), ok)
		})
	}
}

// TestWebErrorsEndNoOtherCall: an answer that is not MCP's concerns its own call alone.
func TestWebErrorsEndNoOtherCall(t *testing.T) {
	front := newFront(t, nil)
	house := newHouse(t, front.at())
	tools := house.move()

	t.Setenv(effectsVariable, house.effects)

	running := tools.goExecute(t.Context(), "long", "puppet_effect", `{"after":700}`)
	eventually(t, "it runs", func() bool { return house.effectLines() == 1 })

	front.act(answerWith(http.StatusForbidden, "no"))
	wantOutcome(t, tools.execute("other", "puppet_effect", `{}`), failure)
	wantOutcome(t, <-running, ok)
}

// TestWebSessionIsForgotten: a server that was restarted does not know the session, and has not run the call.
func TestWebSessionIsForgotten(t *testing.T) {
	front := newFront(t, nil)
	tools := newHouse(t, front.at()).move()
	wantOutcome(t, tools.execute("before", "puppet_echo", `{}`), ok)

	first, err := tools.service.catalog.servers["puppet"].(*server).live(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	front.act(func(w http.ResponseWriter, n int32) bool { return n == 1 && answerWith(http.StatusNotFound, "")(w, n) })
	wantOutcome(t, tools.execute("after", "puppet_fail", `{}`), failure)

	if second, err := tools.service.catalog.servers["puppet"].(*server).live(t.Context()); err != nil || first == second || front.calls.Load() != 2 {
		t.Errorf("%v, the same session %t, sent %d times", err, first == second, front.calls.Load())
	}
}

func TestWebServerThatGoesIsNoticed(t *testing.T) {
	front := newFront(t, nil)
	tools := newHouse(t, front.at(), func(config *Config) { config.Look = 20 * time.Millisecond }).move()
	wantOutcome(t, tools.execute("before", "puppet_echo", `{}`), ok)

	front.CloseClientConnections()
	front.Listener.Close()
	eventually(t, "it is not ready", func() bool { return tools.service.Ready(context.Background()) != nil })
}

func TestWebRequestsCarryWhatIsDeclared(t *testing.T) {
	front := newFront(t, nil)
	environment := map[string]string{"TEAM_KEY": "key-secret", "TOKEN": "token-secret", "LOGIN": "me", "PASSWORD": "word:secret"}

	for want, auth := range map[string]*agentspec.Auth{
		"Bearer token-secret":        {BearerEnv: "TOKEN"},
		"Basic bWU6d29yZDpzZWNyZXQ=": {UserEnv: "LOGIN", PasswordEnv: "PASSWORD"},
	} {
		tools := newHouse(t, front.at(), func(config *Config) {
			spec := &config.Servers[0].Spec
			spec.Headers = []agentspec.Header{{Name: "X-Team", Value: "billing"}, {Name: "X-Key", Env: "TEAM_KEY"}}
			spec.Auth = auth
			config.Getenv = func(name string) string { return environment[name] }
		}).move()
		wantOutcome(t, tools.execute("c", "puppet_echo", `{}`), ok)
		tools.leave()

		front.mu.Lock()
		seen := front.headers
		front.mu.Unlock()

		if seen.Get("Authorization") != want || seen.Get("X-Team") != "billing" || seen.Get("X-Key") != "key-secret" {
			t.Errorf("headers %v", seen)
		}
	}
}

func TestWebServerNeedsItsSecrets(t *testing.T) {
	front := newFront(t, nil)
	tools := newHouse(t, front.at(), func(config *Config) {
		config.Servers[0].Spec.Auth = &agentspec.Auth{BearerEnv: "TOKEN"}
		config.Getenv = func(string) string { return "" }
		config.ServerWait = 100 * time.Millisecond
	}).move()

	got := tools.execute("c", "puppet_echo", `{}`)
	if !fault.Is(got.err, "TOOL_SERVER_DOWN") || !strings.Contains(got.err.Error(), "the environment variable TOKEN is not set") {
		t.Errorf("%v %v", got.result, got.err)
	}
}

// TestWebAddressesAreGuarded: no name and no redirect leads to what is refused.
func TestWebAddressesAreGuarded(t *testing.T) {
	front := newFront(t, nil)

	for name, test := range map[string]struct {
		url     string
		private bool
		want    string
	}{
		"this machine":      {front.URL, false, "127.0.0.1 is an address of this machine"},
		"by a name":         {strings.Replace(front.URL, "127.0.0.1", "localhost", 1), false, "is an address of this machine"},
		"a cloud's secrets": {"http://169.254.169.254/latest", true, "169.254.169.254 is a link-local address"},
		"in other numbers":  {"http://[::ffff:127.0.0.1]:1/", false, "127.0.0.1 is an address of this machine"},
		"a private network": {"http://10.1.2.3/", false, "10.1.2.3 is a private address"},
		"nobody":            {"http://0.0.0.0:1/", true, "no address of a server"},
	} {
		tools := newHouse(t, front.at(), func(config *Config) {
			config.Servers[0].Spec.URL, config.Servers[0].Spec.AllowPrivate = test.url, test.private
			config.ServerWait = 300 * time.Millisecond
		}).move()

		eventually(t, name, func() bool {
			got := tools.execute("c", "puppet_echo", `{}`)

			return fault.Is(got.err, "TOOL_SERVER_DOWN") && strings.Contains(got.err.Error(), test.want)
		})
		tools.leave()
	}
}
