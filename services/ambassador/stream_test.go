package ambassador_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/serinhq/serin/loadtest/llmsim"
)

func TestStreamPasses(t *testing.T) {
	rig := start(t, only(provider(t, serves).config("one", "key")))

	sum, err := rig.read(hello())
	if err != nil || sum.Choices[0].Message.Content != "Hello" || sum.Choices[0].FinishReason != "stop" {
		t.Errorf("got %+v, %v", sum.ChatCompletion, err)
	}

	response, body, err := rig.raw(streamed)
	want := "data: " + strings.TrimSuffix(roleChunk, "}") + `,"serin":{"provider":"one","simulated":false}}` + "\n\n" +
		"data: " + helloChunk + "\n\ndata: " + finishChunk + "\n\ndata: [DONE]\n\n"

	if err != nil || body != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, body, want)
	}

	if response.Header.Get("serin-provider") != "one" || response.Header.Get("serin-model") != "one-model" ||
		response.Header.Get("serin-simulated") != "" || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("headers: %v", response.Header)
	}
}

// A cut stream must never look like a success, whichever way it is cut.
func TestStreamCutMidAnswer(t *testing.T) {
	for name, cut := range map[string]func(http.ResponseWriter){
		"clean EOF":           func(w http.ResponseWriter) { chunks(w, roleChunk, helloChunk) },
		"broken connection":   func(w http.ResponseWriter) { chunks(w, roleChunk, helloChunk); panic(http.ErrAbortHandler) },
		"EOF without DONE":    func(w http.ResponseWriter) { chunks(w, roleChunk, helloChunk, finishChunk) },
		"DONE without finish": func(w http.ResponseWriter) { chunks(w, roleChunk, helloChunk, "[DONE]") },
		"half an event": func(w http.ResponseWriter) {
			chunks(w, roleChunk, helloChunk)
			_, _ = io.WriteString(w, `data: {"id":"c1","choi`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := provider(t, func(_ int, writer http.ResponseWriter, _ *http.Request) { cut(writer) })
			rig := start(t, with(upstream, provider(t, serves)))

			sum, err := rig.read(hello())
			if err == nil || sum.Choices[0].Message.Content != "Hello" {
				t.Errorf("the SDK reports success: %+v, %v", sum.ChatCompletion, err)
			}

			_, body, err := rig.raw(streamed)
			if strings.Contains(body, "[DONE]") || !strings.Contains(body, `data: {"error":{`) {
				t.Errorf("got %s", body)
			}

			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the body ends as if it were whole: %v", err)
			}

			if upstream.count() != 2 {
				t.Errorf("asked %d times: nothing may be retried after content", upstream.count())
			}
		})
	}
}

func TestStreamCutBeforeContentFallsBack(t *testing.T) {
	for name, cut := range map[string]func(http.ResponseWriter){
		"role only": func(w http.ResponseWriter) { chunks(w, roleChunk) },
		"nothing":   func(w http.ResponseWriter) { chunks(w) },
		"error event": func(w http.ResponseWriter) {
			chunks(w, roleChunk, `{"error":{"message":"Overloaded","type":"overloaded_error"}}`)
		},
		"malformed": func(w http.ResponseWriter) { chunks(w, roleChunk, `{"choices":[`) },
	} {
		t.Run(name, func(t *testing.T) {
			upstream := provider(t, func(_ int, writer http.ResponseWriter, _ *http.Request) { cut(writer) })
			rig := start(t, with(upstream, provider(t, serves)))

			sum, err := rig.read(hello())
			if err != nil || sum.Choices[0].Message.Content != "Hello" {
				t.Errorf("got %+v, %v", sum.ChatCompletion, err)
			}

			if response, body, _ := rig.raw(streamed); response.Header.Get("serin-provider") != "two" || strings.Count(body, "assistant") != 1 {
				t.Errorf("the first provider's chunks leaked: %s", body)
			}
		})
	}
}

func TestProviderErrorInsideStream(t *testing.T) {
	rig := start(t, only(provider(t, func(_ int, writer http.ResponseWriter, _ *http.Request) {
		chunks(writer, roleChunk, helloChunk, `{"error":{"message":"Overloaded","type":"overloaded_error"}}`)
	}).config("one")))

	if _, err := rig.read(hello()); err == nil || !strings.Contains(err.Error(), "Overloaded") {
		t.Errorf("got %v", err)
	}

	if _, body, _ := rig.raw(streamed); strings.Contains(body, "[DONE]") || !strings.Contains(body, `"code":"overloaded"`) {
		t.Errorf("got %s", body)
	}
}

func TestMalformedChunk(t *testing.T) {
	rig := start(t, only(provider(t, func(_ int, writer http.ResponseWriter, _ *http.Request) {
		chunks(writer, roleChunk, helloChunk, `{"id":"c1","choices":[{"del`, finishChunk, "[DONE]")
	}).config("one")))

	if _, err := rig.read(hello()); err == nil || !strings.Contains(err.Error(), "not a JSON object") {
		t.Errorf("got %v", err)
	}

	rig.wantMetric(`serin_llm_requests_total{model="one-model",outcome="malformed",provider="one"} 1`)
}

func TestNoStreamWhereAStreamWasAskedFor(t *testing.T) {
	rig := start(t, with(provider(t, func(_ int, writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(writer, whole)
	}), provider(t, serves)))

	if sum, err := rig.read(hello()); err != nil || sum.Choices[0].Message.Content != "Hello" {
		t.Errorf("got %v", err)
	}
}

func TestChunksPassAtOnce(t *testing.T) {
	step := make(chan struct{})
	rig := start(t, only(provider(t, func(_ int, writer http.ResponseWriter, _ *http.Request) {
		chunks(writer, roleChunk, helloChunk)
		<-step
		chunks(writer, helloChunk)
		<-step
		chunks(writer, finishChunk, "[DONE]")
	}).config("one")))

	stream := rig.client.Chat.Completions.NewStreaming(t.Context(), hello())

	text := ""
	for stream.Next() {
		if choices := stream.Current().Choices; len(choices) > 0 && choices[0].Delta.Content != "" {
			text += choices[0].Delta.Content
			step <- struct{}{} // the provider goes on only when its last chunk has arrived
		}
	}

	if stream.Err() != nil || text != "HelloHello" {
		t.Errorf("got %q, %v", text, stream.Err())
	}
}

func TestFallbackOnSlowFirstToken(t *testing.T) {
	slow := provider(t, func(_ int, writer http.ResponseWriter, request *http.Request) {
		chunks(writer, roleChunk)
		<-request.Context().Done()
	})
	cfg := with(slow, provider(t, serves))
	cfg.Deadlines.FirstToken = 30 * time.Millisecond
	cfg.Retry.Max = -1
	rig := start(t, cfg)

	if sum, err := rig.read(hello()); err != nil || sum.Choices[0].Message.Content != "Hello" {
		t.Errorf("got %v", err)
	}

	rig.wantMetric(`serin_llm_requests_total{model="one-model",outcome="timeout",provider="one"} 1`)
}

func TestTimeoutBeforeHeaders(t *testing.T) {
	silent := provider(t, func(_ int, _ http.ResponseWriter, request *http.Request) { <-request.Context().Done() })

	cfg := only(silent.config("one"))
	cfg.Deadlines.Headers = 30 * time.Millisecond
	cfg.Retry.Max = -1

	if response, body, _ := start(t, cfg).raw(streamed); response.StatusCode != http.StatusGatewayTimeout || !strings.Contains(body, "no headers") {
		t.Errorf("stream: got %s, %s", response.Status, body)
	}

	cfg = only(silent.config("one"))
	cfg.Deadlines.Total = 30 * time.Millisecond

	if response, body, _ := start(t, cfg).raw(notStreamed); response.StatusCode != http.StatusGatewayTimeout || !strings.Contains(body, "total deadline") {
		t.Errorf("whole: got %s, %s", response.Status, body)
	}
}

func TestIdleGap(t *testing.T) {
	cfg := only(provider(t, func(_ int, writer http.ResponseWriter, request *http.Request) {
		chunks(writer, roleChunk, helloChunk)
		<-request.Context().Done()
	}).config("one"))
	cfg.Deadlines.Idle = 30 * time.Millisecond

	if _, err := start(t, cfg).read(hello()); err == nil || !strings.Contains(err.Error(), "stood still") {
		t.Errorf("got %v", err)
	}
}

func TestTotalDeadlineOfAStream(t *testing.T) {
	cfg := only(provider(t, func(_ int, writer http.ResponseWriter, request *http.Request) {
		for request.Context().Err() == nil {
			chunks(writer, helloChunk)
			time.Sleep(time.Millisecond)
		}
	}).config("one"))
	cfg.Deadlines.Total = 60 * time.Millisecond

	if _, err := start(t, cfg).read(hello()); err == nil || !strings.Contains(err.Error(), "total deadline") {
		t.Errorf("got %v", err)
	}
}

func TestClientDisconnectCancelsUpstream(t *testing.T) {
	gone := make(chan struct{})
	rig := start(t, only(provider(t, func(_ int, writer http.ResponseWriter, request *http.Request) {
		chunks(writer, roleChunk, helloChunk)
		<-request.Context().Done()
		close(gone)
	}).config("one")))

	ctx, cancel := context.WithCancel(t.Context())
	stream := rig.client.Chat.Completions.NewStreaming(ctx, hello())

	if !stream.Next() {
		t.Fatal(stream.Err())
	}

	cancel()

	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Fatal("the provider goes on")
	}

	_ = stream.Close()

	rig.wantMetric(`serin_llm_requests_total{model="one-model",outcome="cancelled",provider="one"} 1`)
}

// SIGTERM makes the app call Shutdown: running streams must end as they should.
func TestShutdownFinishesStreams(t *testing.T) {
	step := make(chan struct{})
	rig := start(t, only(provider(t, func(_ int, writer http.ResponseWriter, _ *http.Request) {
		chunks(writer, roleChunk, helloChunk)
		<-step
		chunks(writer, finishChunk, "[DONE]")
	}).config("one")))

	stream := rig.client.Chat.Completions.NewStreaming(t.Context(), hello())
	if !stream.Next() {
		t.Fatal(stream.Err())
	}

	stopped := make(chan error, 1)
	go func() { stopped <- rig.server.Config.Shutdown(t.Context()) }()

	eventually(t, func() bool {
		response, err := http.DefaultTransport.(*http.Transport).Clone().RoundTrip(httpGet(t, rig.server.URL+"/v1/models"))
		if err != nil {
			return true
		}

		response.Body.Close()

		return false
	}, func() string { return "the server still accepts requests" })
	close(step)

	for stream.Next() {
	}

	if stream.Err() != nil {
		t.Errorf("the stream was dropped: %v", stream.Err())
	}

	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func httpGet(t *testing.T, url string) *http.Request {
	t.Helper()

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}

	request.Close = true

	return request
}

func TestUsageInStreams(t *testing.T) {
	upstream := provider(t, serves)
	rig := start(t, only(upstream.config("one")))

	if _, body, _ := rig.raw(streamed); strings.Contains(body, "usage") {
		t.Errorf("usage was not asked for: %s", body)
	}

	if want := `{"model":"one-model","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}`; upstream.last() != want {
		t.Errorf("the provider got %s", upstream.last())
	}

	rig.wantMetric(`serin_llm_tokens_total{kind="input",model="one-model",provider="one"} 16`)
	rig.wantMetric(`serin_llm_tokens_total{kind="output",model="one-model",provider="one"} 40`)
	rig.wantMetric(`serin_llm_tokens_total{kind="cached",model="one-model",provider="one"} 4`)

	params := hello()
	params.StreamOptions.IncludeUsage = openai.Bool(true)

	if sum, err := rig.read(params); err != nil || sum.Usage.TotalTokens != 56 {
		t.Errorf("got %+v, %v", sum.Usage, err)
	}
}

func TestMissingUsageIsEstimatedAndMarked(t *testing.T) {
	rig := start(t, only(provider(t, func(_ int, writer http.ResponseWriter, request *http.Request) {
		if request.Header.Get("Accept") == "text/event-stream" {
			chunks(writer, roleChunk, helloChunk, finishChunk, "[DONE]")
		} else {
			_, _ = io.WriteString(writer, `{"choices":[{"index":0,"message":{"content":"Hello"},"finish_reason":"stop"}]}`)
		}
	}).config("one")))

	params := hello()
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := rig.client.Chat.Completions.NewStreaming(t.Context(), params)
	last := openai.ChatCompletionChunk{}

	for stream.Next() {
		last = stream.Current()
	}

	if stream.Err() != nil || last.Usage.CompletionTokens != 2 || last.Usage.PromptTokens < 10 || last.ID != "c1" ||
		last.JSON.ExtraFields["serin"].Raw() != `{"provider":"one","simulated":false,"usage_estimated":true}` {
		t.Errorf("got %s, %v", last.RawJSON(), stream.Err())
	}

	completion, err := rig.client.Chat.Completions.New(t.Context(), hello())
	if err != nil || completion.Usage.TotalTokens == 0 ||
		completion.JSON.ExtraFields["serin"].Raw() != `{"provider":"one","simulated":false,"usage_estimated":true}` {
		t.Errorf("got %s, %v", completion.RawJSON(), err)
	}
}

func TestPartialStreamsAreBilled(t *testing.T) {
	rig := start(t, only(provider(t, func(_ int, writer http.ResponseWriter, _ *http.Request) {
		chunks(writer, roleChunk, helloChunk, helloChunk)
	}).config("one")))

	rig.raw(streamed)
	rig.wantMetric(`serin_llm_tokens_total{kind="output",model="one-model",provider="one"} 3`)
}

func TestHoldIsBoundedByBytes(t *testing.T) {
	empty := strings.Replace(roleChunk, `"created":7`, `"created":7,"pad":"`+strings.Repeat("x", 2000)+`"`, 1)
	release := make(chan struct{})
	cfg := only(provider(t, func(_ int, writer http.ResponseWriter, _ *http.Request) {
		chunks(writer, empty, empty, empty)
		<-release
		chunks(writer, helloChunk, finishChunk, "[DONE]")
	}).config("one"))
	cfg.HoldBytes = 4000
	rig := start(t, cfg)

	stream := rig.client.Chat.Completions.NewStreaming(t.Context(), hello())
	if !stream.Next() {
		t.Fatal(stream.Err())
	}

	close(release)

	for stream.Next() {
	}

	if stream.Err() != nil {
		t.Error(stream.Err())
	}
}

func TestReasoningAndSeveralChoices(t *testing.T) {
	rig := start(t, only(provider(t, func(number int, writer http.ResponseWriter, _ *http.Request) {
		second := strings.ReplaceAll(helloChunk, `"index":0`, `"index":1`)
		if number == 1 {
			chunks(writer, `{"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}`, helloChunk, second, finishChunk,
				strings.ReplaceAll(finishChunk, `"index":0`, `"index":1`), "[DONE]")
		} else { // the second choice never ends
			chunks(writer, helloChunk, second, finishChunk, "[DONE]")
		}
	}).config("one")))

	if _, body, err := rig.raw(streamed); err != nil || !strings.Contains(body, "reasoning_content") || !strings.Contains(body, "[DONE]") {
		t.Errorf("got %v, %s", err, body)
	}

	if _, body, _ := rig.raw(streamed); strings.Contains(body, "[DONE]") {
		t.Errorf("got %s", body)
	}
}

func TestSimulatedIsSaid(t *testing.T) {
	rig := start(t, only(simulator(t, llmsim.Config{})))

	var response *http.Response

	completion, err := rig.client.Chat.Completions.New(t.Context(), hello(), option.WithResponseInto(&response))
	if err != nil || response.Header.Get("serin-simulated") != "true" || response.Header.Get("serin-provider") != "simulated" ||
		completion.JSON.ExtraFields["serin"].Raw() != `{"provider":"simulated","simulated":true,"cost_usd":0}` {
		t.Errorf("got %v, %v, %s", err, response.Header, completion.RawJSON())
	}

	stream := rig.client.Chat.Completions.NewStreaming(t.Context(), hello(), option.WithResponseInto(&response))
	if !stream.Next() || response.Header.Get("serin-simulated") != "true" ||
		stream.Current().JSON.ExtraFields["serin"].Raw() != `{"provider":"simulated","simulated":true}` {
		t.Errorf("got %v, %s, %v", response.Header, stream.Current().RawJSON(), stream.Err())
	}

	_ = stream.Close()

	if !rig.service.Simulated() {
		t.Error("the service does not say so")
	}
}

// The simulated provider cuts, breaks and limits; no answer that the SDK takes for good may lack anything.
func TestSimulatedFaultsNeverLookLikeSuccess(t *testing.T) {
	rig := start(t, only(simulator(t, llmsim.Config{Seed: 3, Faults: llmsim.Faults{
		Cut: 0.3, Malformed: 0.2, RateLimit: 0.05, RetryAfter: time.Millisecond,
	}})))
	good, bad := 0, 0

	for word := range strings.FieldsSeq(strings.Repeat("swift swallow siskin serin stork starling ", 6)) {
		params := hello()
		params.Messages = append(params.Messages, openai.UserMessage("Tell me about the "+word+strings.Repeat("x", good+bad)))

		sum, err := rig.read(params)

		switch {
		case err != nil:
			bad++
		case sum.Choices[0].FinishReason != "stop":
			t.Errorf("a broken answer looks whole: %s", sum.Choices[0].Message.Content)
		default:
			good++
		}
	}

	if good == 0 || bad == 0 {
		t.Errorf("%d good, %d bad", good, bad)
	}
}
