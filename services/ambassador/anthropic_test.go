package ambassador_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openai/openai-go/v3"
	"github.com/tidwall/gjson"

	"github.com/serinhq/serin/services/ambassador"
)

// The events of a Messages API stream: input 12 + cache 4 + output 40.
const (
	messageStart = `{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"usage":{"input_tokens":12,"cache_read_input_tokens":4,"output_tokens":1}}}`
	ping         = `{"type":"ping"}`
	textStart    = `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`
	helloDelta   = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}`
	textStop     = `{"type":"content_block_stop","index":0}`
	endTurn      = `{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":40}}`
	messageStop  = `{"type":"message_stop"}`
	overloaded   = `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`
	message      = `{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn","usage":{"input_tokens":12,"cache_read_input_tokens":4,"output_tokens":40}}`
)

// events streams as the Messages API does, and flushes after each.
func events(writer http.ResponseWriter, data ...string) {
	writer.Header().Set("Content-Type", "text/event-stream; charset=utf-8")

	for _, each := range data {
		fmt.Fprintf(writer, "event: %s\ndata: %s\n\n", gjson.Get(each, "type"), each)
		_ = http.NewResponseController(writer).Flush()
	}
}

// speaksMessages answers well, streaming or not.
func speaksMessages(_ int, writer http.ResponseWriter, request *http.Request) {
	if request.Header.Get("Accept") == "text/event-stream" {
		events(writer, messageStart, ping, textStart, helloDelta, textStop, endTurn, messageStop)

		return
	}

	writer.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(writer, message)
}

func (u *upstream) anthropic(name string, keys ...string) ambassador.ProviderConfig {
	made := u.config(name, keys...)
	made.Kind = ambassador.KindAnthropic

	return made
}

// toAnthropic is a configuration with an Anthropic primary and an OpenAI fallback.
func toAnthropic(primary, fallback *upstream) ambassador.Config {
	return ambassador.Config{
		Providers: []ambassador.ProviderConfig{primary.anthropic("one", "key"), fallback.config("two")},
		Primary:   "one", Fallback: "two",
	}
}

func TestAnthropicStream(t *testing.T) {
	upstream := provider(t, speaksMessages)
	rig := start(t, only(upstream.anthropic("one", "key")))

	params := hello()
	params.StreamOptions.IncludeUsage = openai.Bool(true)

	sum, err := rig.read(params)
	if err != nil || sum.Choices[0].Message.Content != "Hello" || sum.Choices[0].FinishReason != "stop" || sum.ID != "msg_1" {
		t.Errorf("got %+v, %v", sum.ChatCompletion, err)
	}

	if upstream.keysUsed() != "key" || gjson.Get(upstream.last(), "max_tokens").Int() != 8192 ||
		gjson.Get(upstream.last(), "stream_options").Exists() {
		t.Errorf("the provider got %s with %s", upstream.last(), upstream.keysUsed())
	}

	if _, body, err := rig.raw(streamed); err != nil || !strings.HasSuffix(body, "data: [DONE]\n\n") || strings.Contains(body, "usage") {
		t.Errorf("got %v, %s", err, body)
	}
}

// Cached tokens are a part of the prompt, and neither half of a stream's usage gets lost.
func TestAnthropicUsageInStreamsAndCachedTokens(t *testing.T) {
	rig := start(t, only(provider(t, speaksMessages).anthropic("one")))

	params := hello()
	params.StreamOptions.IncludeUsage = openai.Bool(true)

	sum, err := rig.read(params)
	if err != nil {
		t.Fatal(err)
	}

	completion, err := rig.client.Chat.Completions.New(t.Context(), hello())
	if err != nil {
		t.Fatal(err)
	}

	for name, used := range map[string]openai.CompletionUsage{"stream": sum.Usage, "whole": completion.Usage} {
		if used.PromptTokens != 16 || used.CompletionTokens != 40 || used.TotalTokens != 56 || used.PromptTokensDetails.CachedTokens != 4 {
			t.Errorf("%s: got %s", name, used.RawJSON())
		}
	}

	rig.wantMetric(`serin_llm_tokens_total{kind="input",model="one-model",provider="one"} 32`)
	rig.wantMetric(`serin_llm_tokens_total{kind="cached",model="one-model",provider="one"} 8`)
}

func TestAnthropicToolCallsKeepTheirArguments(t *testing.T) {
	part := func(index int, text string) string {
		return fmt.Sprintf(`{"type":"content_block_delta","index":%d,"delta":{"type":"input_json_delta","partial_json":%q}}`, index, text)
	}
	call := func(index int, id string) string {
		return fmt.Sprintf(`{"type":"content_block_start","index":%d,"content_block":{"type":"tool_use","id":%q,"name":"refund","input":{}}}`, index, id)
	}
	stop := func(index int) string { return fmt.Sprintf(`{"type":"content_block_stop","index":%d}`, index) }
	toolUse := strings.Replace(endTurn, "end_turn", "tool_use", 1)

	rig := start(t, only(provider(t, func(_ int, writer http.ResponseWriter, request *http.Request) {
		if request.Header.Get("Accept") == "text/event-stream" {
			events(writer, messageStart, textStart, helloDelta, textStop, call(1, "a"), part(1, ""), part(1, `{"id`), part(1, `":7}`),
				stop(1), call(2, "b"), stop(2), toolUse, messageStop)

			return
		}

		_, _ = io.WriteString(writer, `{"type":"message","content":[{"type":"tool_use","id":"a","name":"refund","input":{"id":7}},
			{"type":"tool_use","id":"b","name":"refund","input":{}}],"stop_reason":"tool_use","usage":{}}`)
	}).anthropic("one")))

	sum, err := rig.read(hello())
	if err != nil {
		t.Fatal(err)
	}

	completion, err := rig.client.Chat.Completions.New(t.Context(), hello())
	if err != nil {
		t.Fatal(err)
	}

	for name, choice := range map[string]openai.ChatCompletionChoice{"stream": sum.Choices[0], "whole": completion.Choices[0]} {
		calls := choice.Message.ToolCalls
		if choice.FinishReason != "tool_calls" || len(calls) != 2 || calls[0].ID != "a" || calls[0].Function.Name != "refund" ||
			calls[0].Function.Arguments != `{"id":7}` || calls[1].ID != "b" || calls[1].Function.Arguments != "{}" {
			t.Errorf("%s: got %+v", name, choice)
		}
	}
}

func TestAnthropicErrorInsideStreamBeforeContentFallsBack(t *testing.T) {
	first := provider(t, func(_ int, writer http.ResponseWriter, _ *http.Request) {
		events(writer, messageStart, ping, textStart, overloaded)
	})
	cfg := toAnthropic(first, provider(t, serves))
	cfg.Retry.Max = 1
	rig := start(t, cfg)

	sum, err := rig.read(hello())
	if err != nil || sum.Choices[0].Message.Content != "Hello" {
		t.Errorf("got %+v, %v", sum.ChatCompletion, err)
	}

	if first.count() != 2 {
		t.Errorf("asked %d times: overloaded is tried again on the same key first", first.count())
	}

	rig.wantMetric(`serin_llm_requests_total{model="one-model",outcome="overloaded",provider="one"} 2`)
}

// Whatever happens after the first content, the client must not take the answer for a whole one.
func TestAnthropicStreamCutMidAnswer(t *testing.T) {
	call := `{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"a","name":"refund","input":{}}}`
	half := `{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}}`
	begun := []string{messageStart, textStart, helloDelta}

	for name, test := range map[string]struct {
		rest []string
		want string
	}{
		"error event":           {[]string{overloaded}, `"code":"overloaded"`},
		"clean EOF":             {nil, `"code":"cut_stream"`},
		"no message_stop":       {[]string{textStop, endTurn}, `"code":"cut_stream"`},
		"no message_delta":      {[]string{textStop, messageStop}, `"code":"cut_stream"`},
		"an open tool call":     {[]string{textStop, call, half, endTurn, messageStop}, `"code":"malformed"`},
		"a delta from nowhere":  {[]string{textStop, half}, `"code":"malformed"`},
		"an index taken":        {[]string{textStart}, `"code":"malformed"`},
		"a stop from nowhere":   {[]string{textStop, textStop}, `"code":"malformed"`},
		"an event without JSON": {[]string{`{"type":"content_`}, `"code":"malformed"`},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := provider(t, func(_ int, writer http.ResponseWriter, _ *http.Request) {
				events(writer, append(append([]string{}, begun...), test.rest...)...)
			})
			rig := start(t, toAnthropic(upstream, provider(t, serves)))

			if sum, err := rig.read(hello()); err == nil || sum.Choices[0].Message.Content != "Hello" {
				t.Errorf("the SDK reports success: %+v, %v", sum.ChatCompletion, err)
			}

			_, body, err := rig.raw(streamed)
			if strings.Contains(body, "[DONE]") || !strings.Contains(body, test.want) || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %v, %s", err, body)
			}
		})
	}
}

// A stream that broke off is billed by what message_start said and by what arrived.
func TestAnthropicPartialStreamsAreBilled(t *testing.T) {
	rig := start(t, only(provider(t, func(_ int, writer http.ResponseWriter, _ *http.Request) {
		events(writer, messageStart, textStart, helloDelta, helloDelta)
	}).anthropic("one")))

	rig.raw(streamed)
	rig.wantMetric(`serin_llm_tokens_total{kind="input",model="one-model",provider="one"} 16`)
	rig.wantMetric(`serin_llm_tokens_total{kind="output",model="one-model",provider="one"} 3`)
}

func TestAnthropicFailures(t *testing.T) {
	for name, test := range map[string]struct {
		status     int
		kind, text string
		want       int
		code       string
	}{
		"bad request":     {400, "invalid_request_error", "max_tokens: too large", 400, "invalid_request_error"},
		"credit is spent": {400, "invalid_request_error", "Your credit balance is too low", 429, "insufficient_quota"},
		"spending limit":  {400, "invalid_request_error", "You have reached your specified API usage limits", 429, "insufficient_quota"},
		"too long":        {400, "invalid_request_error", "prompt is too long: 300000 tokens", 400, "invalid_request_error"},
		"bad key":         {401, "authentication_error", "invalid x-api-key", 502, "credential"},
		"no permission":   {403, "permission_error", "not allowed", 502, "credential"},
		"no model":        {404, "not_found_error", "model: claude-x", 404, "not_found_error"},
		"too many":        {429, "rate_limit_error", "slow down", 429, "rate_limit_exceeded"},
		"their trouble":   {500, "api_error", "Internal server error", 502, "server_error"},
		"overloaded":      {529, "overloaded_error", "Overloaded", 503, "overloaded"},
	} {
		cfg := only(provider(t, func(_ int, writer http.ResponseWriter, _ *http.Request) {
			writer.WriteHeader(test.status)
			fmt.Fprintf(writer, `{"type":"error","error":{"type":%q,"message":%q},"request_id":"r"}`, test.kind, test.text)
		}).anthropic("one", "key"))
		cfg.Retry.Max = -1

		_, err := start(t, cfg).client.Chat.Completions.New(t.Context(), hello())

		refused, ok := errors.AsType[*openai.Error](err)
		if !ok || refused.StatusCode != test.want || refused.Code != test.code && refused.Type != test.code {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// 529 says nothing about the key: the same one is asked again, and the others keep out of it.
func TestAnthropicOverloadedStaysOnTheKey(t *testing.T) {
	upstream := provider(t, func(number int, writer http.ResponseWriter, request *http.Request) {
		if number%3 != 0 {
			writer.WriteHeader(529)
			_, _ = io.WriteString(writer, overloaded)

			return
		}

		speaksMessages(number, writer, request)
	})
	rig := start(t, only(upstream.anthropic("one", "a", "b")))

	if _, err := rig.client.Chat.Completions.New(t.Context(), hello()); err != nil {
		t.Error(err)
	}

	rig.wantMetric(`serin_llm_requests_total{model="one-model",outcome="overloaded",provider="one"} 2`)

	if left := rig.service; left.Check(t.Context()) != nil {
		t.Error("the provider counts as unusable")
	}
}

// What the Messages API can't express goes to a provider that can, and is refused by name if there is none.
func TestAnthropicUnsupportedRequests(t *testing.T) {
	for body, want := range map[string]string{
		`"n":2`:           "n",
		`"logprobs":true`: "logprobs",
		`"response_format":{"type":"json_object"}`: "response_format.type",
		`"tools":[{"type":"custom","custom":{}}]`:  "tools[0].type",
		`"tool_choice":"perhaps"`:                  "tool_choice",
		`"modalities":["text","audio"]`:            "modalities",
		`"stop":[1]`:                               "stop",
		`"max_tokens":0`:                           "max_tokens",
		`"temperature":"hot"`:                      "temperature",
	} {
		body := `{"messages":[{"role":"user","content":"hi"}],` + body + `}`
		upstream := provider(t, speaksMessages)

		response, answer, _ := start(t, only(upstream.anthropic("one"))).raw(body)
		if response.StatusCode != http.StatusBadRequest || gjson.Get(answer, "error.param").String() != want || upstream.count() != 0 {
			t.Errorf("%s: got %s, %s", body, response.Status, answer)
		}

		response, _, _ = start(t, toAnthropic(upstream, provider(t, serves))).raw(body)
		if response.StatusCode != http.StatusOK || response.Header.Get("serin-provider") != "two" {
			t.Errorf("%s: got %s from %s", body, response.Status, response.Header.Get("serin-provider"))
		}
	}
}

func TestAnthropicLeavesOutWhatOnlyTunes(t *testing.T) {
	upstream := provider(t, speaksMessages)
	response, _, _ := start(t, only(upstream.anthropic("one"))).raw(`{"messages":[{"role":"user","content":"hi"}],
		"seed":7,"frequency_penalty":0,"logit_bias":{"1":2},"top_k":3,"later":{"field":1},"store":false}`)

	if got := response.Header.Get("serin-ignored"); got != "seed, logit_bias, later" {
		t.Errorf("got %q", got)
	}

	want := `{"model":"one-model","max_tokens":8192,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"top_k":3}`
	if diff := cmp.Diff(want, upstream.last()); diff != "" {
		t.Error(diff)
	}
}

func TestAnthropicModels(t *testing.T) {
	cfg := only(provider(t, speaksMessages).anthropic("one"))
	cfg.Providers[0].DefaultModel = ""

	response, _, _ := start(t, cfg).raw(notStreamed)
	if got := response.Header.Get("serin-model"); got != "finch" {
		t.Errorf("got %s", got)
	}
}
