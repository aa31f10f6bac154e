package retriever_test

import (
	"encoding/json"
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unicode"

	"github.com/serinhq/serin/services/retriever"
)

// ngramDimensions is how many places pieces of words are hashed to.
const ngramDimensions = 512

// embedNgrams stands in for an embedding model: it hashes the pieces of three to five letters that words are made of, long
// ones counting more. It finds other forms of a word and misspelt ones, and knows nothing of what they mean.
func embedNgrams(text string) []float64 {
	vector := make([]float64, ngramDimensions)

	for _, word := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if len(word) < 3 || retriever.IsCommon(word) {
			continue
		}

		runes := []rune("^" + word + "$")

		for size := 3; size <= 5; size++ {
			for at := 0; at+size <= len(runes); at++ {
				hash := fnv.New32a()
				_, _ = hash.Write([]byte(string(runes[at : at+size])))
				sum := hash.Sum32()
				sign := 1 - 2*float64(sum>>31)
				vector[sum%ngramDimensions] += sign * float64(size-2) / float64(len(runes))
			}
		}
	}

	return vector
}

// ngramServer answers /v1/embeddings as OpenAI's API does, with [embedNgrams].
type ngramServer struct {
	*httptest.Server

	// texts counts what was embedded; status, unless 0, is what requests are refused with; hang has them wait for their end.
	texts  atomic.Int64
	status atomic.Int64
	hang   atomic.Bool
	// embed makes vectors; reject, if it is not empty, refuses batches with such a text, and refused counts those.
	embed   func(string) []float64
	reject  atomic.Value
	refused atomic.Int64

	mu  sync.Mutex
	all []string
}

func newNgramServer(t *testing.T) *ngramServer {
	t.Helper()

	made := &ngramServer{embed: embedNgrams}
	made.Server = httptest.NewServer(http.HandlerFunc(made.answer))
	t.Cleanup(made.Close)

	return made
}

func (s *ngramServer) answer(writer http.ResponseWriter, request *http.Request) {
	var asked struct {
		Model string   `json:"model"`
		Input []string `json:"input"`
	}

	if err := json.NewDecoder(request.Body).Decode(&asked); err != nil || request.URL.Path != "/v1/embeddings" || asked.Model != "ngrams" {
		http.Error(writer, `{"error":{"message":"no such thing"}}`, http.StatusNotFound)

		return
	}

	if s.hang.Load() {
		<-request.Context().Done()

		return
	}

	status := int(s.status.Load())
	if reject, _ := s.reject.Load().(string); reject != "" && strings.Contains(strings.Join(asked.Input, " "), reject) {
		status = http.StatusBadRequest

		s.refused.Add(1)
	}

	if status != 0 {
		http.Error(writer, `{"error":{"message":"the provider says no"}}`, status)

		return
	}

	s.texts.Add(int64(len(asked.Input)))
	s.mu.Lock()
	s.all = append(s.all, asked.Input...)
	s.mu.Unlock()

	type one struct {
		Object    string    `json:"object"`
		Index     int       `json:"index"`
		Embedding []float64 `json:"embedding"`
	}

	data := make([]one, len(asked.Input))
	for i, text := range asked.Input {
		data[i] = one{"embedding", i, s.embed(text)}
	}

	writer.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(writer).Encode(map[string]any{"object": "list", "data": data, "model": asked.Model})
}
