package ambassador_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"go.uber.org/goleak"

	"github.com/serinhq/serin/internal/telemetry"
	"github.com/serinhq/serin/loadtest/llmsim"
	"github.com/serinhq/serin/services/ambassador"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an ambassador with the official SDK as its client.
type rig struct {
	t       *testing.T
	client  openai.Client
	http    *http.Client
	server  *httptest.Server
	service *ambassador.Service
	tel     *telemetry.Telemetry
	log     *lockedBuffer
}

type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.buffer.Write(data)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.buffer.String()
}

// start runs an ambassador. Waits are short unless the configuration says otherwise.
func start(t *testing.T, cfg ambassador.Config) *rig {
	t.Helper()

	made := &rig{t: t, log: &lockedBuffer{}}

	tel, err := telemetry.New(telemetry.Options{Service: "test", Writer: made.log, Level: slog.LevelDebug})
	if err != nil {
		t.Fatal(err)
	}

	cfg.Telemetry, made.tel = tel, tel

	if cfg.Retry.Base == 0 {
		cfg.Retry.Base = time.Millisecond
	}

	made.service, err = ambassador.New(cfg)
	if err != nil {
		t.Fatal(err)
	}

	made.server = httptest.NewServer(made.service.Handler())
	transport := &http.Transport{}
	made.http = &http.Client{Transport: transport}

	t.Cleanup(made.service.Close)
	t.Cleanup(made.server.Close)
	t.Cleanup(transport.CloseIdleConnections)

	made.client = openai.NewClient(option.WithBaseURL(made.server.URL+"/v1"), option.WithAPIKey("none"),
		option.WithMaxRetries(0), option.WithHTTPClient(made.http))

	return made
}

// upstream is a hand-made provider that counts its requests.
type upstream struct {
	*httptest.Server

	mu     sync.Mutex
	bodies []string
	keys   []string
}

func provider(t *testing.T, handle func(number int, writer http.ResponseWriter, request *http.Request)) *upstream {
	t.Helper()

	made := &upstream{}
	made.Server = httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodGet {
			_, _ = io.WriteString(writer, `{"object":"list","data":[{"id":"finch"},{"id":"serin"}]}`)

			return
		}

		body, _ := io.ReadAll(request.Body)

		made.mu.Lock()
		made.bodies = append(made.bodies, string(body))
		made.keys = append(made.keys, cmp.Or(request.Header.Get("X-Api-Key"), strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer ")))
		number := len(made.bodies)
		made.mu.Unlock()

		handle(number, writer, request)
	}))
	t.Cleanup(made.Close)

	return made
}

func (u *upstream) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()

	return len(u.bodies)
}

func (u *upstream) last() string {
	u.mu.Lock()
	defer u.mu.Unlock()

	return u.bodies[len(u.bodies)-1]
}

func (u *upstream) keysUsed() string {
	u.mu.Lock()
	defer u.mu.Unlock()

	return strings.Join(u.keys, " ")
}

func (u *upstream) config(name string, keys ...string) ambassador.ProviderConfig {
	return ambassador.ProviderConfig{Name: name, BaseURL: u.URL + "/v1", APIKeys: keys, DefaultModel: name + "-model"}
}

// only is a configuration with one provider.
func only(provider ambassador.ProviderConfig) ambassador.Config {
	return ambassador.Config{Providers: []ambassador.ProviderConfig{provider}, Primary: provider.Name}
}

// with is a configuration with a primary and a fallback.
func with(primary, fallback *upstream) ambassador.Config {
	return ambassador.Config{
		Providers: []ambassador.ProviderConfig{primary.config("one"), fallback.config("two")}, Primary: "one", Fallback: "two",
	}
}

func simulator(t *testing.T, cfg llmsim.Config) ambassador.ProviderConfig {
	t.Helper()

	sim, err := llmsim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}

	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)

	return ambassador.ProviderConfig{Name: "simulated", Kind: ambassador.KindSimulated, BaseURL: server.URL + "/v1"}
}

const (
	roleChunk   = `{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`
	helloChunk  = `{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}`
	finishChunk = `{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	usageChunk  = `{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[],"usage":{"prompt_tokens":16,"completion_tokens":40,"total_tokens":56,"prompt_tokens_details":{"cached_tokens":4}}}`
	whole       = `{"id":"c1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":16,"completion_tokens":40,"total_tokens":56},"later":{"field":[1]}}`
)

// chunks streams events and flushes after each.
func chunks(writer http.ResponseWriter, data ...string) {
	writer.Header().Set("Content-Type", "text/event-stream")

	for _, each := range data {
		fmt.Fprintf(writer, "data: %s\n\n", each)
		_ = http.NewResponseController(writer).Flush()
	}
}

func good(writer http.ResponseWriter) {
	chunks(writer, roleChunk, helloChunk, finishChunk, usageChunk, "[DONE]")
}

// serves answers well, streaming or not.
func serves(_ int, writer http.ResponseWriter, request *http.Request) {
	if request.Header.Get("Accept") == "text/event-stream" {
		good(writer)

		return
	}

	writer.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(writer, whole)
}

func fails(writer http.ResponseWriter, status int, code, message string) {
	writer.Header().Set("Content-Type", "application/json")
	writer.WriteHeader(status)
	fmt.Fprintf(writer, `{"error":{"message":%q,"type":%q,"param":null,"code":%q}}`, message, code, code)
}

func failing(status int, code, message string) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, writer http.ResponseWriter, _ *http.Request) { fails(writer, status, code, message) }
}

func hello() openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model: "default", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("A secret: blue tits")},
	}
}

// read drains a stream with the SDK.
func (r *rig) read(params openai.ChatCompletionNewParams) (openai.ChatCompletionAccumulator, error) {
	r.t.Helper()

	stream := r.client.Chat.Completions.NewStreaming(r.t.Context(), params)
	sum := openai.ChatCompletionAccumulator{}

	for stream.Next() {
		sum.AddChunk(stream.Current())
	}

	_ = stream.Close()

	return sum, stream.Err()
}

// raw posts a body and returns what comes back, byte for byte.
func (r *rig) raw(body string) (*http.Response, string, error) {
	r.t.Helper()

	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.server.URL+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}

	response, err := r.http.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()

	answer, err := io.ReadAll(response.Body)

	return response, string(answer), err
}

// post sends a body to a path and returns the answer's.
func (r *rig) post(path, body string, header http.Header) string {
	r.t.Helper()

	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.server.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}

	maps.Copy(request.Header, header)

	response, err := r.http.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()

	answer, _ := io.ReadAll(response.Body) // a cut one is judged by what came

	return string(answer)
}

const (
	streamed    = `{"model":"default","messages":[{"role":"user","content":"hi"}],"stream":true}`
	notStreamed = `{"model":"default","messages":[{"role":"user","content":"hi"}]}`
)

// metric reads the values of a metric's series, by their labels as Prometheus writes them.
func (r *rig) metrics() string {
	recorder := httptest.NewRecorder()
	r.tel.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))

	return recorder.Body.String()
}

func (r *rig) wantMetric(line string) {
	r.t.Helper()
	eventually(r.t, func() bool { return strings.Contains(r.metrics(), line+"\n") }, func() string {
		return "no metric " + line + " in\n" + r.metrics()
	})
}

func eventually(t *testing.T, condition func() bool, problem func() string) {
	t.Helper()

	deadline := time.Now().Add(5 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal(problem())
		}

		time.Sleep(2 * time.Millisecond)
	}
}
