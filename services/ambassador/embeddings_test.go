package ambassador_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/serinhq/serin/services/ambassador"
)

const embedding = `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,1]}],"model":"e","usage":{"prompt_tokens":7,"total_tokens":7}}`

func embeds(_ int, writer http.ResponseWriter, request *http.Request) {
	if !strings.HasSuffix(request.URL.Path, "/v1/embeddings") {
		http.NotFound(writer, request)

		return
	}

	_, _ = fmt.Fprint(writer, embedding)
}

func embedded(text string) openai.EmbeddingNewParams {
	return openai.EmbeddingNewParams{Model: "e", Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String(text)}}
}

func TestEmbeddings(t *testing.T) {
	upstream := provider(t, embeds)
	rig := start(t, priced(t, only(upstream.config("one", "key")), "prices: {e: {input: 1000, output: 0}}"))

	var response *http.Response

	got, err := rig.client.Embeddings.New(t.Context(), embedded("a finch"), option.WithResponseInto(&response))
	if err != nil || len(got.Data) != 1 || got.Data[0].Embedding[1] != 1 || got.Usage.PromptTokens != 7 {
		t.Errorf("got %+v, %v", got, err)
	}

	if response.Header.Get("serin-cost-usd") != "0.007" || upstream.keysUsed() != "key" || !strings.Contains(upstream.last(), `"input":"a finch"`) {
		t.Errorf("got %v; the provider got %s", response.Header, upstream.last())
	}

	rig.wantMetric(`serin_llm_tokens_total{kind="input",model="e",provider="one"} 7`)
}

// Anthropic has no embeddings: a provider that has some answers, and without one the client is told why.
func TestEmbeddingsOfAnthropic(t *testing.T) {
	upstream := provider(t, speaksMessages)

	_, err := start(t, only(upstream.anthropic("one"))).client.Embeddings.New(t.Context(), embedded("a"))
	if refused, ok := errors.AsType[*openai.Error](err); !ok || refused.StatusCode != http.StatusBadRequest ||
		refused.Message != "Anthropic's API has no embeddings" || upstream.count() != 0 {
		t.Errorf("got %v", err)
	}

	rig := start(t, toAnthropic(upstream, provider(t, embeds)))
	if got, err := rig.client.Embeddings.New(t.Context(), embedded("a")); err != nil || len(got.Data) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEmbeddingsRefused(t *testing.T) {
	rig := start(t, only(provider(t, embeds).config("one")))

	for body, want := range map[string]string{
		`{`: "not valid JSON", `[]`: "a JSON object", `{"input":"a"}`: "the name of an embedding model",
		`{"model":"e"}`: "input must be", `{"model":"e","model":"f","input":"a"}`: "given twice",
	} {
		if answer := rig.post("/v1/embeddings", body, nil); !strings.Contains(answer, want) {
			t.Errorf("%s: got %s", body, answer)
		}
	}
}

func TestMockEmbeddings(t *testing.T) {
	mocked(t, func(rig *rig, kind string) {
		t := rig.t

		got, err := rig.client.Embeddings.New(t.Context(), embedded("finch"))
		if kind == ambassador.KindAnthropic {
			if err == nil {
				t.Error("Anthropic answers")
			}

			return
		}

		if err != nil || len(got.Data) != 1 || got.Data[0].Embedding[1] != -0.5 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}
