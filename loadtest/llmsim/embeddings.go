package llmsim

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"net/http"
)

// What vectors have, as many numbers as the client asks for.
const (
	defaultDimensions = 256
	maxDimensions     = 4096
	maxInputs         = 2048
)

// embeddingsRequest is what the simulation reads of an embeddings request.
type embeddingsRequest struct {
	Model      string `json:"model"`
	Input      inputs `json:"input"`
	Dimensions *int   `json:"dimensions"`
	Encoding   string `json:"encoding_format"`
}

// inputs is a text or several; tokens are not known here.
type inputs []string

var errInput = errors.New("input must be a text or a list of texts: the simulation knows no tokens")

func (i *inputs) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*i = inputs{one}

		return nil
	}

	var many []string
	if json.Unmarshal(data, &many) != nil || len(many) == 0 || len(many) > maxInputs {
		return errInput
	}

	*i = many

	return nil
}

// serveEmbeddings makes vectors of what texts say: those that share words, or words that mean much the same, are near.
func (s *Server) serveEmbeddings(writer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(writer, request.Body, maxBodyBytes))
	if err != nil {
		refuse(writer, http.StatusRequestEntityTooLarge, "invalid_request_error", "", err.Error())

		return
	}

	asked, dimensions, err := readEmbeddings(body)
	if err != nil {
		refuse(writer, http.StatusBadRequest, "invalid_request_error", "", err.Error())

		return
	}

	data, size := make([]any, len(asked.Input)), 0

	for i, text := range asked.Input {
		size += len(text)
		data[i] = map[string]any{"object": "embedding", "index": i, "embedding": encoded(embedding(text, dimensions), asked.Encoding)}
	}

	writeJSON(writer, http.StatusOK, map[string]any{
		"object": "list", "model": "simulated-" + asked.Model, "data": data, "simulated": true,
		"usage": map[string]int{"prompt_tokens": tokens(size), "total_tokens": tokens(size)},
	})
}

func readEmbeddings(body []byte) (embeddingsRequest, int, error) {
	var asked embeddingsRequest
	if err := json.Unmarshal(body, &asked); err != nil {
		return asked, 0, fmt.Errorf("the body can't be read: %w", err)
	}

	dimensions := defaultDimensions
	if asked.Dimensions != nil {
		dimensions = *asked.Dimensions
	}

	switch {
	case asked.Model == "":
		return asked, 0, errors.New("model must name a model")
	case asked.Input == nil:
		return asked, 0, errInput
	case dimensions < 1 || dimensions > maxDimensions:
		return asked, 0, fmt.Errorf("dimensions must be 1 to %d, not %d", maxDimensions, dimensions)
	case asked.Encoding != "" && asked.Encoding != "float" && asked.Encoding != "base64":
		return asked, 0, fmt.Errorf("encoding_format must be float or base64, not %q", asked.Encoding)
	default:
		return asked, dimensions, nil
	}
}

// embedding is a text's vector, of length 1: each stem, and each concept, adds to the number that its hash names.
func embedding(text string, dimensions int) []float32 {
	vector := make([]float32, dimensions)

	for _, word := range keywords(text) {
		spread(vector, word.stem, word.weight)

		if word.concept != "" {
			spread(vector, "concept "+word.concept, word.weight)
		}
	}

	norm := 0.0
	for _, number := range vector {
		norm += float64(number) * float64(number)
	}

	if norm == 0 { // of nothing but stop words
		spread(vector, text, 1)

		norm = 1
	}

	for i := range vector {
		vector[i] /= float32(math.Sqrt(norm))
	}

	return vector
}

func spread(vector []float32, word string, weight float64) {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(word)) // it never fails

	sum := hash.Sum64()
	if sum>>63 == 1 {
		weight = -weight
	}

	vector[sum%uint64(len(vector))] += float32(weight)
}

// encoded is a vector as the client wants it.
func encoded(vector []float32, encoding string) any {
	if encoding != "base64" {
		return vector
	}

	packed := make([]byte, 0, 4*len(vector))
	for _, number := range vector {
		packed = binary.LittleEndian.AppendUint32(packed, math.Float32bits(number))
	}

	return base64.StdEncoding.EncodeToString(packed)
}
