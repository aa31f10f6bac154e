package ambassador_test

import (
	"bufio"
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/services/ambassador"
)

// aimock runs the npm package @copilotkit/aimock, a mock of providers that nobody here wrote, and returns its URL.
// testdata/aimock.json says what it answers.
func aimock(t *testing.T) string {
	t.Helper()
	testenv.Require(t, "node")

	entry := filepath.Join("testdata", "node", "node_modules", "@copilotkit", "aimock", "dist", "cli.js")
	testenv.RequireFile(t, "node", entry, "run: npm ci --prefix services/ambassador/testdata/node")

	command := exec.CommandContext(t.Context(), "node", entry, "-p", "0", "-f", filepath.Join("testdata", "aimock.json"))

	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}

	command.Stderr = command.Stdout

	if err := command.Start(); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})

	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if _, url, found := strings.Cut(lines.Text(), "listening on "); found {
			go func() { // so that the mock never waits for a reader
				for lines.Scan() {
				}
			}()

			return url
		}
	}

	t.Fatal("aimock does not say where it listens")

	return ""
}

// mocked are the two kinds of providers that aimock mocks, each behind an ambassador.
func mocked(t *testing.T, test func(rig *rig, kind string)) {
	t.Helper()

	url := aimock(t)

	for _, kind := range []string{ambassador.KindOpenAI, ambassador.KindAnthropic} {
		t.Run(kind, func(t *testing.T) {
			cfg := only(ambassador.ProviderConfig{
				Name: "one", Kind: kind, BaseURL: url + "/v1", APIKeys: []string{"a"}, DefaultModel: "claude-opus-4-5",
			})
			cfg.Retry.Max = 1
			test(start(t, cfg), kind)
		})
	}
}

func asks(text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model: "default", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(text)},
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	}
}

// both asks once with a stream and once without.
func (r *rig) both(params openai.ChatCompletionNewParams) map[string]asked {
	r.t.Helper()

	sum, streamErr := r.read(params)
	params.StreamOptions = openai.ChatCompletionStreamOptionsParam{}
	whole, err := r.client.Chat.Completions.New(r.t.Context(), params)

	if whole == nil {
		whole = &openai.ChatCompletion{}
	}

	return map[string]asked{"stream": {sum.ChatCompletion, streamErr}, "whole": {*whole, err}}
}

type asked struct {
	openai.ChatCompletion

	err error
}

// said is the first choice, empty if there is none.
func (a asked) said() openai.ChatCompletionChoice {
	if len(a.Choices) == 0 {
		return openai.ChatCompletionChoice{}
	}

	return a.Choices[0]
}

func TestMockText(t *testing.T) {
	mocked(t, func(rig *rig, _ string) {
		t := rig.t

		for how, got := range rig.both(asks("hello")) {
			if got.err != nil || got.said().Message.Content != "Hello! How can I help you today?" || got.said().FinishReason != "stop" ||
				got.Usage.PromptTokens != 16 || got.Usage.CompletionTokens != 40 || got.Usage.TotalTokens != 56 {
				t.Errorf("%s: got %+v, %v", how, got.said(), got.err)
			}
		}

		for how, got := range rig.both(asks("ramble")) {
			if got.err != nil || got.said().FinishReason != "length" {
				t.Errorf("%s: got %+v, %v", how, got.said(), got.err)
			}
		}
	})
}

func TestMockParallelTools(t *testing.T) {
	mocked(t, func(rig *rig, _ string) {
		t := rig.t

		params := asks("weather")
		params.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
			Name: "weather", Parameters: openai.FunctionParameters{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}},
		})}

		for how, got := range rig.both(params) {
			calls := got.said().Message.ToolCalls
			if got.err != nil || got.said().FinishReason != "tool_calls" || len(calls) != 2 ||
				calls[0].Function.Arguments != `{"city":"Oslo","days":[1,2]}` || calls[1].ID != "call_b" ||
				calls[1].Function.Name != "weather" || calls[1].Function.Arguments != `{"city":"Zürich"}` {
				t.Fatalf("%s: got %+v, %v", how, got.said(), got.err)
			}

			next := params
			next.Messages = append(append([]openai.ChatCompletionMessageParamUnion{}, params.Messages...), got.said().Message.ToParam(),
				openai.ToolMessage("rain", calls[0].ID), openai.ToolMessage("rain", calls[1].ID))

			for again, got := range rig.both(next) {
				if got.err != nil || got.said().Message.Content != "Rain in both." {
					t.Errorf("%s, %s: got %+v, %v", how, again, got.said(), got.err)
				}
			}
		}
	})
}

func TestMockThinking(t *testing.T) {
	mocked(t, func(rig *rig, kind string) {
		t := rig.t

		for how, got := range rig.both(asks("think")) {
			if got.err != nil || got.said().Message.Content != "42" {
				t.Errorf("%s: got %+v, %v", how, got.said(), got.err)
			}
		}

		if kind != ambassador.KindAnthropic {
			return
		}

		_, body, _ := rig.raw(`{"messages":[{"role":"user","content":"think"}]}`)
		if !strings.Contains(body, `"reasoning_content":"Six times seven."`) || !strings.Contains(body, `"signature":"c2lnbmVk"`) {
			t.Errorf("got %s", body)
		}

		_, body, _ = rig.raw(`{"messages":[{"role":"user","content":"think"}],"stream":true}`)
		if !strings.Contains(body, `"reasoning_content":"Six`) || !strings.Contains(body, `"signature":"c2lnbmVk"`) {
			t.Errorf("got %s", body)
		}
	})
}

func TestMockStreamCutMidAnswer(t *testing.T) {
	mocked(t, func(rig *rig, _ string) {
		t := rig.t

		got := rig.both(asks("cut"))["stream"]
		if got.err == nil || !strings.HasPrefix(got.said().Message.Content, "This") {
			t.Errorf("the SDK reports success: %+v, %v", got.said(), got.err)
		}
	})
}

func TestMockFaults(t *testing.T) {
	mocked(t, func(rig *rig, _ string) {
		t := rig.t

		for text, want := range map[string]int{
			"wrong": http.StatusBadRequest, "drop": http.StatusBadGateway, "break": http.StatusBadGateway,
		} {
			for how, got := range rig.both(asks(text)) {
				refused, ok := errors.AsType[*openai.Error](got.err)
				if !ok || refused.StatusCode != want {
					t.Errorf("%s, %s: got %v", text, how, got.err)
				}
			}
		}
	})
}

// The mock is overloaded once: the ambassador asks again, and the client sees nothing of it.
func TestMockOverloadedIsRetried(t *testing.T) {
	url := aimock(t)
	cfg := only(ambassador.ProviderConfig{Name: "one", Kind: ambassador.KindAnthropic, BaseURL: url + "/v1", DefaultModel: "m"})
	rig := start(t, cfg)

	if sum, err := rig.read(asks("overloaded")); err != nil || sum.Choices[0].Message.Content != "Now I can." {
		t.Errorf("got %+v, %v", sum.ChatCompletion, err)
	}

	rig.wantMetric(`serin_llm_requests_total{model="m",outcome="overloaded",provider="one"} 1`)
}

func TestMockRetryAfterIsTold(t *testing.T) {
	mocked(t, func(rig *rig, kind string) {
		t := rig.t

		var response *http.Response

		params := asks("limited")
		params.StreamOptions = openai.ChatCompletionStreamOptionsParam{}

		_, err := rig.client.Chat.Completions.New(t.Context(), params, option.WithResponseInto(&response))
		if err == nil || response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") != "30" {
			t.Errorf("%s: got %v, %v", kind, response, err)
		}
	})
}
