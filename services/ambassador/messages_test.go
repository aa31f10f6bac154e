package ambassador_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/tidwall/gjson"

	"github.com/serinhq/serin/services/ambassador"
)

// anthropicClient is Anthropic's own SDK in front of the ambassador.
func (r *rig) anthropicClient() anthropic.Client {
	return anthropic.NewClient(option.WithBaseURL(r.server.URL), option.WithAPIKey("none"), option.WithMaxRetries(0),
		option.WithHTTPClient(r.http))
}

func messagesAsk(text string) anthropic.MessageNewParams {
	return anthropic.MessageNewParams{
		Model: "default", MaxTokens: 100, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(text))},
	}
}

type messageAsked struct {
	anthropic.Message

	err error
}

func (m messageAsked) text() string {
	text := ""
	for _, block := range m.Content {
		text += block.Text
	}

	return text
}

// messages asks once with a stream and once without.
func (r *rig) messages(params anthropic.MessageNewParams) map[string]messageAsked {
	r.t.Helper()

	client := r.anthropicClient()
	stream, sum := client.Messages.NewStreaming(r.t.Context(), params), messageAsked{}

	for stream.Next() {
		if err := sum.Accumulate(stream.Current()); err != nil {
			r.t.Error(err)
		}
	}

	sum.err = stream.Err()
	_ = stream.Close()

	whole, err := client.Messages.New(r.t.Context(), params)
	if whole == nil {
		whole = &anthropic.Message{}
	}

	return map[string]messageAsked{"stream": sum, "whole": {*whole, err}}
}

func TestMockMessagesText(t *testing.T) {
	mocked(t, func(rig *rig, _ string) {
		t := rig.t

		for how, got := range rig.messages(messagesAsk("hello")) {
			if got.err != nil || got.text() != "Hello! How can I help you today?" || got.StopReason != "end_turn" ||
				got.Usage.InputTokens != 16 && how == "whole" || got.Usage.OutputTokens != 40 {
				t.Errorf("%s: got %s, %v", how, got.RawJSON(), got.err)
			}
		}

		for how, got := range rig.messages(messagesAsk("ramble")) {
			if got.err != nil || got.StopReason != "max_tokens" {
				t.Errorf("%s: got %s, %v", how, got.StopReason, got.err)
			}
		}
	})
}

func TestMockMessagesParallelTools(t *testing.T) {
	mocked(t, func(rig *rig, _ string) {
		t := rig.t

		params := messagesAsk("weather")
		params.System = []anthropic.TextBlockParam{{Text: "Be brief."}}
		params.Tools = []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{
			Name: "weather", InputSchema: anthropic.ToolInputSchemaParam{Properties: map[string]any{"city": map[string]any{"type": "string"}}},
		}}}

		for how, got := range rig.messages(params) {
			calls := []anthropic.ContentBlockUnion{}

			for _, block := range got.Content {
				if block.Type == "tool_use" {
					calls = append(calls, block)
				}
			}

			if got.err != nil || got.StopReason != "tool_use" || len(calls) != 2 || got.text() != "I will look." ||
				string(calls[0].Input) != `{"city":"Oslo","days":[1,2]}` || calls[1].ID != "call_b" || string(calls[1].Input) != `{"city":"Zürich"}` {
				t.Fatalf("%s: got %+v, %v", how, got.Content, got.err)
			}

			next := params
			next.Messages = append(append([]anthropic.MessageParam{}, params.Messages...), got.ToParam(), anthropic.NewUserMessage(
				anthropic.NewToolResultBlock(calls[0].ID, "rain", false), anthropic.NewToolResultBlock(calls[1].ID, "rain", false)))

			for again, got := range rig.messages(next) {
				if got.err != nil || got.text() != "Rain in both." {
					t.Errorf("%s, %s: got %s, %v", how, again, got.text(), got.err)
				}
			}
		}
	})
}

func TestMockMessagesFaults(t *testing.T) {
	for text, want := range map[string]struct {
		status int
		kind   string
	}{
		"wrong":   {http.StatusBadRequest, "invalid_request_error"},
		"limited": {http.StatusTooManyRequests, "rate_limit_error"},
		"drop":    {http.StatusBadGateway, "api_error"},
	} {
		mocked(t, func(rig *rig, _ string) {
			t := rig.t

			for how, got := range rig.messages(messagesAsk(text)) {
				refused, ok := errors.AsType[*anthropic.Error](got.err)
				if !ok || refused.StatusCode != want.status || gjson.Get(refused.RawJSON(), "error.type").String() != want.kind {
					t.Errorf("%s, %s: got %v", text, how, got.err)
				}
			}
		})
	}
}

func TestMockMessagesStreamCut(t *testing.T) {
	mocked(t, func(rig *rig, _ string) {
		t := rig.t

		if got := rig.messages(messagesAsk("cut"))["stream"]; got.err == nil || !strings.HasPrefix(got.text(), "This") {
			t.Errorf("the SDK reports success: %s, %v", got.text(), got.err)
		}
	})
}

// A provider that speaks the client's own API gets and gives what no translation knows.
func TestMessagesPassThrough(t *testing.T) {
	later := `{"type":"content_block_delta","index":0,"delta":{"type":"later_delta","field":[1]}}`
	upstream := provider(t, func(number int, writer http.ResponseWriter, request *http.Request) {
		if request.Header.Get("Accept") != "text/event-stream" {
			speaksMessages(number, writer, request)

			return
		}

		if got := request.Header.Get("Anthropic-Beta"); got != "b" {
			t.Errorf("Anthropic-Beta: %q", got)
		}

		events(writer, messageStart, ping, textStart, helloDelta, later, textStop, endTurn, messageStop)
	})
	rig := start(t, priced(t, only(upstream.anthropic("one", "key")), onePrice))

	body := `{"model":"default","max_tokens":1,"messages":[{"role":"user","content":"hi"}],"later":{"a":1},"stream":true}`
	answer := rig.post("/v1/messages", body, http.Header{"Anthropic-Beta": {"b"}})

	if want := strings.Replace(body, `"default"`, `"one-model"`, 1); upstream.last() != want {
		t.Errorf("the provider got %s", upstream.last())
	}

	want := ""

	for _, each := range []string{messageStart, ping, textStart, helloDelta, later, textStop, endTurn, messageStop} {
		if each == endTurn {
			each = strings.TrimSuffix(each, "}") + `,"serin":{"provider":"one","simulated":false,"cost_usd":` + oneCost + `}}`
		}

		want += "event: " + gjson.Get(each, "type").String() + "\ndata: " + each + "\n\n"
	}

	if answer != want {
		t.Errorf("got\n%s\nwant\n%s", answer, want)
	}

	if answer := rig.post("/v1/messages", strings.Replace(body, `"stream":true`, `"stream":false`, 1), nil); answer != message {
		t.Errorf("got %s", answer)
	}

	rig.wantMetric(`serin_llm_cost_usd_total{model="one-model",provider="one"} 0.004248`)
}

func TestMessagesErrorInsideStream(t *testing.T) {
	cut := func(_ int, writer http.ResponseWriter, _ *http.Request) {
		events(writer, messageStart, textStart, helloDelta, overloaded)
	}
	chatCut := func(_ int, writer http.ResponseWriter, _ *http.Request) { chunks(writer, roleChunk, helloChunk) }

	for name, cfg := range map[string]ambassador.ProviderConfig{
		"native": provider(t, cut).anthropic("one"), "translated": provider(t, chatCut).config("one"),
	} {
		rig := start(t, only(cfg))

		got := rig.messages(messagesAsk("hi"))["stream"]
		if got.err == nil || got.text() != "Hello" || !strings.Contains(got.err.Error(), "error") {
			t.Errorf("%s: the SDK reports success: %s, %v", name, got.text(), got.err)
		}
	}
}

// Before the first content another provider may answer, whichever API it speaks.
func TestMessagesFallBack(t *testing.T) {
	rig := start(t, toAnthropic(provider(t, func(_ int, writer http.ResponseWriter, _ *http.Request) {
		events(writer, messageStart, textStart, overloaded)
	}), provider(t, serves)))

	for how, got := range rig.messages(messagesAsk("hi")) {
		if got.err != nil || got.text() != "Hello" || got.Usage.OutputTokens != 40 {
			t.Errorf("%s: got %s, %v", how, got.RawJSON(), got.err)
		}
	}
}

func TestMessagesUnsupportedByChat(t *testing.T) {
	for content, want := range map[string]string{
		`{"tools":[{"type":"web_search_20250305","name":"web_search"}],`: "tools[0].type",
		`{"tools":[{"name":"a"}],`:                                       "tools[0].input_schema",
	} {
		upstream := provider(t, serves)
		answer := start(t, only(upstream.config("one"))).post("/v1/messages",
			content+`"max_tokens":1,"messages":[{"role":"user","content":"hi"}]}`, nil)

		if gjson.Get(answer, "error.type").String() != "invalid_request_error" || !strings.Contains(answer, want) || upstream.count() != 0 {
			t.Errorf("got %s", answer)
		}
	}
}

func TestMessagesRefused(t *testing.T) {
	rig := start(t, only(provider(t, serves).config("one")))
	for _, body := range []string{`{`, `{}`, `{"messages":[]}`} {
		if answer := rig.post("/v1/messages", body, nil); gjson.Get(answer, "error.type").String() != "invalid_request_error" ||
			gjson.Get(answer, "type").String() != "error" {
			t.Errorf("%s: got %s", body, answer)
		}
	}
}
