package llmsim_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"

	"github.com/serinhq/serin/loadtest/llmsim"
)

func cosine(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}

	return sum
}

func TestEmbeddings(t *testing.T) {
	client, _ := start(t, llmsim.Config{})

	answer, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: "e5", Dimensions: openai.Int(512), Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{
			"Where is my invoice?", "The bill for March", "The garden has roses", "the of and",
		}},
	})
	if err != nil {
		t.Fatal(err)
	}

	vectors := make([][]float64, len(answer.Data))
	for i, one := range answer.Data {
		vectors[i] = one.Embedding

		if one.Index != int64(i) || len(one.Embedding) != 512 || math.Abs(cosine(one.Embedding, one.Embedding)-1) > 1e-5 {
			t.Errorf("vector %d: index %d, %d numbers, norm %v", i, one.Index, len(one.Embedding), cosine(one.Embedding, one.Embedding))
		}
	}

	if near, far := cosine(vectors[0], vectors[1]), cosine(vectors[0], vectors[2]); near < far+0.2 {
		t.Errorf("an invoice is as near to a bill (%v) as to a garden (%v)", near, far)
	}

	if answer.Model != "simulated-e5" || !strings.Contains(answer.RawJSON(), `"simulated":true`) || answer.Usage.PromptTokens == 0 {
		t.Errorf("answer %s", answer.RawJSON()[:200])
	}
}

func TestEmbeddingsInBase64(t *testing.T) {
	_, url := start(t, llmsim.Config{})

	status, body := post(t, url, `{"model":"e5","input":"roses","dimensions":8,"encoding_format":"base64"}`)

	var answer struct {
		Data []struct {
			Embedding string `json:"embedding"`
		} `json:"data"`
	}

	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}

	packed, err := base64.StdEncoding.DecodeString(answer.Data[0].Embedding)
	if err != nil || len(packed) != 32 {
		t.Fatalf("%d bytes, %v", len(packed), err)
	}

	norm := 0.0
	for i := range 8 {
		number := math.Float32frombits(binary.LittleEndian.Uint32(packed[4*i:]))
		norm += float64(number) * float64(number)
	}

	if math.Abs(norm-1) > 1e-5 {
		t.Errorf("norm %v", norm)
	}
}

func TestEmbeddingsRefused(t *testing.T) {
	_, url := start(t, llmsim.Config{})

	for body, want := range map[string]string{
		`{`:                            "can't be read",
		`{"input":"x"}`:                "model must name a model",
		`{"model":"e5"}`:               "input must be a text",
		`{"model":"e5","input":[]}`:    "input must be a text",
		`{"model":"e5","input":[1,2]}`: "input must be a text",
		`{"model":"e5","input":"x","dimensions":0}`:          "dimensions must be 1 to 4096, not 0",
		`{"model":"e5","input":"x","encoding_format":"hex"}`: `float or base64, not \"hex\"`,
	} {
		if status, answer := post(t, url, body); status != http.StatusBadRequest || !strings.Contains(string(answer), want) {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
}

func post(t *testing.T, url, body string) (int, []byte) {
	t.Helper()

	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/embeddings", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}

	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()

	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(fmt.Errorf("read: %w", err))
	}

	return response.StatusCode, answer
}
