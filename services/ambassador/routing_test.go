package ambassador_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"

	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/services/ambassador"
)

func TestWholeAnswerPasses(t *testing.T) {
	upstream := provider(t, serves)
	rig := start(t, only(upstream.config("one", "key")))

	body := `{"model":"default", "messages":[{"role":"user","content":"hi","x":1.0}], "top_k":  7, "models":["a"], "new":{"field":[]}}`
	response, got, err := rig.raw(body)

	if want := strings.TrimSuffix(whole, "}") + `,"serin":{"provider":"one","simulated":false}}`; err != nil || got != want {
		t.Errorf("got %v %s", err, got)
	}

	// What the ambassador does not know survives byte for byte, in both directions.
	if want := `{"model":"one-model", "messages":[{"role":"user","content":"hi","x":1.0}], "top_k":  7, "new":{"field":[]}}`; upstream.last() != want {
		t.Errorf("the provider got %s", upstream.last())
	}

	if response.Header.Get("serin-provider") != "one" || upstream.keysUsed() != "key" {
		t.Errorf("got %v, key %s", response.Header, upstream.keysUsed())
	}
}

func TestRefusedRequests(t *testing.T) {
	upstream := provider(t, serves)
	cfg := only(upstream.config("one"))
	cfg.MaxBodyBytes = 200
	rig := start(t, cfg)

	for body, want := range map[string]string{
		`{"messages":`:                    "400 the body is not valid JSON",
		`[]`:                              "400 the body must be a JSON object",
		`{}`:                              "400 messages must be an array with at least one message",
		`{"messages":[]}`:                 "400 messages must be an array with at least one message",
		`{"messages":[{}],"model":5}`:     "400 model must be a string",
		`{"messages":[{}],"stream":"on"}`: "400 stream must be a boolean",
		`{"messages":[{}],"models":"x"}`:  "400 models must be an array of model names",
		`{"messages":["` + strings.Repeat("x", 300) + `"]}`: "413 the body is larger than 200 bytes",
	} {
		response, answer, _ := rig.raw(body)
		status, message, _ := strings.Cut(want, " ")

		if fmt.Sprint(response.StatusCode) != status || !strings.Contains(answer, `"message":"`+message) ||
			!strings.Contains(answer, `"type":"invalid_request_error"`) {
			t.Errorf("%s: got %s %s", body, response.Status, answer)
		}
	}

	if upstream.count() != 0 {
		t.Error("the provider was asked")
	}

	response, err := rig.http.Do(httpGet(t, rig.server.URL+"/v1/nothing"))
	if err != nil || response.StatusCode != http.StatusNotFound {
		t.Errorf("got %v, %v", response, err)
	}

	response.Body.Close()
}

func TestLargeBodyOfUnknownLength(t *testing.T) {
	cfg := only(provider(t, serves).config("one"))
	cfg.MaxBodyBytes = 1000
	rig := start(t, cfg)

	request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, rig.server.URL+"/v1/chat/completions",
		io.LimitReader(neverEnding('x'), 5000))

	response, err := rig.http.Do(request)
	if err != nil || response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatalf("got %v, %v", response, err)
	}

	response.Body.Close()
}

type neverEnding byte

func (b neverEnding) Read(data []byte) (int, error) {
	for i := range data {
		data[i] = byte(b)
	}

	return len(data), nil
}

func TestRetriesWhatMayPass(t *testing.T) {
	for name, broken := range map[string]func(http.ResponseWriter){
		"500":        func(w http.ResponseWriter) { fails(w, 500, "server_error", "oops") },
		"503":        func(w http.ResponseWriter) { fails(w, 503, "overloaded", "busy") },
		"529":        func(w http.ResponseWriter) { fails(w, 529, "overloaded_error", "busy") },
		"connection": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"malformed":  func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"choices":[`) },
		"no choices": func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"choices":[]}`) },
		"cut": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "5000")
			_, _ = io.WriteString(w, `{"choices":[`)
		},
		"error in 200": func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"error":{"message":"x","code":502}}`) },
	} {
		t.Run(name, func(t *testing.T) {
			upstream := provider(t, func(number int, writer http.ResponseWriter, request *http.Request) {
				if number <= 2 {
					broken(writer)
				} else {
					serves(number, writer, request)
				}
			})
			rig := start(t, only(upstream.config("one")))

			if _, err := rig.client.Chat.Completions.New(t.Context(), hello()); err != nil || upstream.count() != 3 {
				t.Errorf("got %v after %d tries", err, upstream.count())
			}
		})
	}
}

func TestUnknown4xxIsNotRetried(t *testing.T) {
	upstream := provider(t, failing(http.StatusTeapot, "teapot", "I'm a teapot"))
	rig := start(t, with(upstream, provider(t, serves)))
	_, err := rig.client.Chat.Completions.New(t.Context(), hello())

	var told *openai.Error
	if !errors.As(err, &told) || told.StatusCode != http.StatusTeapot || told.Message != "I'm a teapot" || upstream.count() != 1 {
		t.Errorf("got %v after %d tries", err, upstream.count())
	}
}

func TestFallback(t *testing.T) {
	for name, class := range map[string]func(int, http.ResponseWriter, *http.Request){
		"server_error":    failing(500, "server_error", "oops"),
		"rate_limit":      failing(429, "rate_limit_exceeded", "slow down"),
		"quota":           failing(429, "insufficient_quota", "pay"),
		"credential":      failing(401, "invalid_api_key", "who?"),
		"region":          failing(403, "unsupported_country_region_territory", "no"),
		"model_not_found": failing(404, "model_not_found", "no such model"),
		"context_length":  failing(400, "context_length_exceeded", "too long"),
	} {
		t.Run(name, func(t *testing.T) {
			rig := start(t, with(provider(t, class), provider(t, serves)))

			if response, body, _ := rig.raw(notStreamed); response.Header.Get("serin-provider") != "two" {
				t.Errorf("got %s, %s", response.Status, body)
			}

			tries := 1
			if name == "server_error" {
				tries = 3
			}

			rig.wantMetric(fmt.Sprintf(`serin_llm_requests_total{model="one-model",outcome=%q,provider="one"} %d`, name, tries))
			rig.wantMetric(`serin_llm_requests_total{model="two-model",outcome="ok",provider="two"} 1`)
		})
	}
}

func TestFallbackWhenNobodyListens(t *testing.T) {
	cfg := with(provider(t, serves), provider(t, serves))
	cfg.Providers[0].BaseURL = "http://" + testenv.FreePort(t) + "/v1"

	if response, body, _ := start(t, cfg).raw(notStreamed); response.Header.Get("serin-provider") != "two" {
		t.Errorf("got %s, %s", response.Status, body)
	}
}

// 429 without Retry-After fails over like one with it, and the provider is left alone for a while.
func Test429WithoutRetryAfterFailsOver(t *testing.T) {
	limited := provider(t, failing(429, "rate_limit_exceeded", "slow down"))
	rig := start(t, with(limited, provider(t, serves)))

	for range 3 {
		if response, body, _ := rig.raw(notStreamed); response.Header.Get("serin-provider") != "two" {
			t.Errorf("got %s, %s", response.Status, body)
		}
	}

	if limited.count() != 1 {
		t.Errorf("asked %d times while it rests", limited.count())
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	var limited time.Time

	upstream := provider(t, func(number int, writer http.ResponseWriter, request *http.Request) {
		if number == 1 {
			limited = time.Now()

			writer.Header().Set("Retry-After-Ms", "150")
			fails(writer, 429, "rate_limit_exceeded", "slow down")

			return
		}

		serves(number, writer, request)
	})
	rig := start(t, only(upstream.config("one")))

	if _, err := rig.client.Chat.Completions.New(t.Context(), hello()); err != nil {
		t.Fatal(err)
	}

	if took := time.Since(limited); took < 150*time.Millisecond {
		t.Errorf("tried again after %s", took)
	}
}

func TestEveryKeyCoolingIs429WithRetryAfter(t *testing.T) {
	limited := provider(t, func(number int, writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Retry-After", fmt.Sprint(20*number))
		fails(writer, 429, "rate_limit_exceeded", "slow down")
	})
	rig := start(t, only(limited.config("one", "a", "b")))

	for range 3 {
		response, body, _ := rig.raw(notStreamed)
		if response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") != "20" || !strings.Contains(body, `"code":"rate_limit_exceeded"`) {
			t.Errorf("got %s, Retry-After %s, %s", response.Status, response.Header.Get("Retry-After"), body)
		}
	}

	if limited.count() != 2 {
		t.Errorf("asked %d times: what rests is known across requests", limited.count())
	}
}

// Healthy keys are used without a retry, a wait or the budget.
func TestWalkingTheKeyPoolIsNoRetry(t *testing.T) {
	upstream := provider(t, func(number int, writer http.ResponseWriter, request *http.Request) {
		switch request.Header.Get("Authorization") {
		case "Bearer good":
			serves(number, writer, request)
		case "Bearer revoked":
			fails(writer, 401, "invalid_api_key", "Incorrect API key provided: revoked")
		case "Bearer empty":
			fails(writer, 429, "insufficient_quota", "You exceeded your current quota")
		default:
			fails(writer, 429, "rate_limit_exceeded", "slow down")
		}
	})
	cfg := only(upstream.config("one", "limited", "revoked", "empty", "good"))
	cfg.Retry.Max = -1
	rig := start(t, cfg)

	for range 6 {
		if _, err := rig.client.Chat.Completions.New(t.Context(), hello()); err != nil {
			t.Fatal(err)
		}
	}

	used := upstream.keysUsed()
	if strings.Count(used, "revoked") > 1 || strings.Count(used, "limited") > 1 || strings.Count(used, "empty") > 1 {
		t.Errorf("bad keys were tried again: %s", used)
	}
}

func TestOverloadedStaysOnTheKey(t *testing.T) {
	upstream := provider(t, failing(529, "overloaded_error", "Overloaded"))
	cfg := only(upstream.config("one", "a", "b", "c"))
	cfg.Retry.Max = -1

	if response, _, _ := start(t, cfg).raw(notStreamed); response.StatusCode != http.StatusServiceUnavailable || upstream.count() != 1 {
		t.Errorf("got %s after %d tries", response.Status, upstream.count())
	}
}

func TestKeysAreNotTold(t *testing.T) {
	rig := start(t, only(provider(t, failing(401, "invalid_api_key", "Incorrect API key provided: sk-secret")).config("one", "sk-secret")))

	response, body, _ := rig.raw(notStreamed)
	if response.StatusCode != http.StatusBadGateway || response.Header.Get("X-Should-Retry") != "false" || strings.Contains(body+rig.log.String(), "sk-secret") {
		t.Errorf("got %s %s", response.Status, body)
	}
}

func TestNoContentInLogs(t *testing.T) {
	rig := start(t, only(provider(t, failing(500, "server_error", "can't say blue tits")).config("one")))

	_, _ = rig.client.Chat.Completions.New(t.Context(), hello())

	if log := rig.log.String(); strings.Contains(log, "blue tits") || !strings.Contains(log, `"class":"server_error"`) {
		t.Error(log)
	}
}

func TestKeyFilesRotate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	upstream := provider(t, serves)
	cfg := upstream.config("one")
	cfg.APIKeyFiles = []string{file}
	rig := start(t, only(cfg))

	ask := func() string {
		_, _, _ = rig.raw(notStreamed)
		used := strings.Fields(upstream.keysUsed())

		return used[len(used)-1]
	}

	if used := ask(); used != "old" {
		t.Fatalf("used %s", used)
	}

	if err := os.WriteFile(file, []byte("new\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	eventually(t, func() bool { return ask() == "new" }, func() string { return "the new key is not used" })
}

func TestFallbackModels(t *testing.T) {
	upstream := provider(t, func(number int, writer http.ResponseWriter, request *http.Request) {
		if number == 1 {
			fails(writer, 400, "context_length_exceeded", "This model's maximum context length is 8")
		} else {
			serves(number, writer, request)
		}
	})
	rig := start(t, only(upstream.config("one")))

	response, body, _ := rig.raw(`{"model":"small","models":["large"],"messages":[{"role":"user","content":"hi"}]}`)
	if response.Header.Get("serin-model") != "large" || !strings.Contains(upstream.last(), `{"model":"large","messages"`) {
		t.Errorf("got %s, %s; the provider got %s", response.Status, body, upstream.last())
	}
}

func TestModelsAreMapped(t *testing.T) {
	one, two := provider(t, serves), provider(t, serves)
	cfg := with(one, two)
	cfg.Providers[0].Models = map[string]string{"fast": "finch-8b"}
	cfg.Providers[1].Models = map[string]string{"big": "eagle", ambassador.AnyModel: "sparrow"}
	rig := start(t, cfg)

	for model, want := range map[string]string{
		"fast": "one finch-8b", "default": "one one-model", "big": "two eagle", "other": "two sparrow",
	} {
		response, _, _ := rig.raw(`{"model":"` + model + `","messages":[{}]}`)
		if got := response.Header.Get("serin-provider") + " " + response.Header.Get("serin-model"); got != want {
			t.Errorf("%s: got %s, want %s", model, got, want)
		}
	}

	cfg = only(one.config("one"))
	cfg.Providers[0].Models = map[string]string{"fast": "finch-8b"}

	if response, body, _ := start(t, cfg).raw(`{"model":"other","messages":[{}]}`); response.StatusCode != http.StatusNotFound || !strings.Contains(body, "no provider serves the model other") {
		t.Errorf("got %s, %s", response.Status, body)
	}
}

func TestDefaultModelIsTheFirstListed(t *testing.T) {
	cfg := provider(t, serves).config("ollama")
	cfg.DefaultModel = ""
	rig := start(t, only(cfg))

	if response, _, _ := rig.raw(notStreamed); response.Header.Get("serin-model") != "finch" {
		t.Errorf("got %s", response.Header.Get("serin-model"))
	}
}

func TestModelsList(t *testing.T) {
	cfg := with(provider(t, serves), provider(t, serves))
	cfg.Providers[1].Models = map[string]string{"big": "eagle", ambassador.AnyModel: "x"}

	page, err := start(t, cfg).client.Models.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	ids := make([]string, 0, len(page.Data))
	for _, model := range page.Data {
		ids = append(ids, model.ID)
	}

	if !slices.Equal(ids, []string{"big", "default", "finch", "serin"}) {
		t.Errorf("got %v", ids)
	}
}

func TestWeights(t *testing.T) {
	one, two := provider(t, serves), provider(t, serves)

	var mu sync.Mutex

	at := 0
	cfg := ambassador.Config{
		Providers: []ambassador.ProviderConfig{one.config("one"), two.config("two")},
		Rand: func() float64 { // two draws per request: the first place, then the only one left
			mu.Lock()
			defer mu.Unlock()

			at++

			return float64(at/2%100) / 100
		},
	}
	cfg.Providers[0].Weight, cfg.Providers[1].Weight = 3, 1
	rig := start(t, cfg)

	for range 100 {
		_, _, _ = rig.raw(notStreamed)
	}

	if one.count() != 75 || two.count() != 25 {
		t.Errorf("got %d and %d", one.count(), two.count())
	}
}

func TestWeightedProvidersStandInForEachOther(t *testing.T) {
	cfg := ambassador.Config{Providers: []ambassador.ProviderConfig{
		provider(t, failing(401, "x", "x")).config("one"), provider(t, serves).config("two"),
	}}
	cfg.Rand = func() float64 { return 0 }

	if response, _, _ := start(t, cfg).raw(notStreamed); response.Header.Get("serin-provider") != "two" {
		t.Errorf("got %s", response.Status)
	}
}

// A total outage must not multiply the load.
func TestRetryBudget(t *testing.T) {
	down := provider(t, failing(500, "server_error", "oops"))
	cfg := with(down, down)
	cfg.Retry.Ratio = 0.1
	cfg.BreakAfter = -1
	rig := start(t, cfg)

	const requests = 300
	for range requests {
		_, _, _ = rig.raw(notStreamed)
	}

	// 20 are saved up, 30 come with the requests, and some seconds pass.
	if extra := down.count() - requests; extra > 70 {
		t.Errorf("%d retries and fallbacks for %d requests", extra, requests)
	}
}

func TestQueueIsBounded(t *testing.T) {
	release := make(chan struct{})
	upstream := provider(t, func(number int, writer http.ResponseWriter, request *http.Request) {
		<-release
		serves(number, writer, request)
	})
	cfg := upstream.config("one")
	cfg.MaxConcurrent, cfg.MaxQueue = 2, 3
	rig := start(t, only(cfg))

	var done sync.WaitGroup
	for range 5 {
		done.Go(func() {
			if response, body, _ := rig.raw(notStreamed); response.StatusCode != http.StatusOK {
				t.Errorf("got %s %s", response.Status, body)
			}
		})
	}

	rig.wantMetric(`llm_request_queue_depth{provider="one"} 3`)

	response, body, _ := rig.raw(notStreamed)
	if response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") != "1" {
		t.Errorf("got %s %s", response.Status, body)
	}

	close(release)
	done.Wait()
	rig.wantMetric(`llm_request_queue_depth{provider="one"} 0`)
	rig.wantMetric(`serin_llm_queue_wait_seconds_count{provider="one"} 6`)
}

func TestQueueHeedsTheDeadline(t *testing.T) {
	upstream := provider(t, func(_ int, _ http.ResponseWriter, request *http.Request) { <-request.Context().Done() })
	cfg := only(upstream.config("one"))
	cfg.Providers[0].MaxConcurrent = 1
	cfg.Deadlines.Total = 100 * time.Millisecond
	rig := start(t, cfg)

	var done sync.WaitGroup
	for range 2 {
		done.Go(func() {
			if response, body, _ := rig.raw(streamed); response.StatusCode != http.StatusGatewayTimeout {
				t.Errorf("got %s %s", response.Status, body)
			}
		})
	}

	done.Wait()
}

func TestClientLeavesTheQueue(t *testing.T) {
	release := make(chan struct{})
	upstream := provider(t, func(number int, writer http.ResponseWriter, request *http.Request) {
		<-release
		serves(number, writer, request)
	})
	cfg := only(upstream.config("one"))
	cfg.Providers[0].MaxConcurrent = 1
	rig := start(t, cfg)

	var done sync.WaitGroup

	ctx, cancel := context.WithCancel(t.Context())

	done.Go(func() { _, _, _ = rig.raw(notStreamed) })
	eventually(t, func() bool { return upstream.count() == 1 }, func() string { return "not asked" })
	done.Go(func() { _, _ = rig.client.Chat.Completions.New(ctx, hello()) })
	rig.wantMetric(`llm_request_queue_depth{provider="one"} 1`)
	cancel()
	rig.wantMetric(`llm_request_queue_depth{provider="one"} 0`)
	close(release)
	done.Wait()
}

func TestReadiness(t *testing.T) {
	rig := start(t, with(provider(t, serves), provider(t, serves)))
	if err := rig.service.Check(t.Context()); err != nil {
		t.Error(err)
	}

	down := provider(t, serves)
	rig = start(t, only(down.config("one")))
	down.Close()

	if err := rig.service.Checks()[0].Func(t.Context()); err == nil || !strings.Contains(err.Error(), "asking one") {
		t.Errorf("got %v", err)
	}
}

func TestConfigErrorsNameTheField(t *testing.T) {
	for want, cfg := range map[string]ambassador.Config{
		"providers: is empty":                       {},
		"primary: names x, which is not a provider": {Providers: []ambassador.ProviderConfig{{Name: "a", BaseURL: "http://b"}}, Primary: "x"},
		`providers.a.baseURL: is "b"`:               {Providers: []ambassador.ProviderConfig{{Name: "a", BaseURL: "b"}}},
		"providers.a.kind: is x":                    {Providers: []ambassador.ProviderConfig{{Name: "a", Kind: "x", BaseURL: "http://b"}}},
		"providers.a: is named twice":               {Providers: []ambassador.ProviderConfig{{Name: "a", BaseURL: "http://b"}, {Name: "a", BaseURL: "http://b"}}},
	} {
		if _, err := ambassador.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
