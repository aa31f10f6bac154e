package retriever

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

const (
	// cachedQueries is how many queries' vectors are kept.
	cachedQueries = 256
	// maxQuery is how many bytes of a query its vector is of: models read no more than some thousand tokens.
	maxQuery = 8 << 10
)

// embedder asks the endpoint for vectors, and remembers how it is.
type embedder struct {
	config  Embeddings
	service openai.EmbeddingService
	queries *lru.Cache[string, []float32]
	metrics *metrics
	// refusals is how many passages have a text that the endpoint does not take.
	refusals atomic.Int64

	mu      sync.Mutex
	problem error
	until   time.Time
}

func newEmbedder(config Embeddings, metrics *metrics) *embedder {
	queries, err := lru.New[string, []float32](cachedQueries)
	if err != nil { // only for a size below 1
		panic(err)
	}

	return &embedder{
		config: config, queries: queries, metrics: metrics,
		service: openai.NewEmbeddingService(
			option.WithBaseURL(config.BaseURL), option.WithHTTPClient(config.HTTPClient), option.WithMaxRetries(0),
			option.WithAPIKey("none"), // the ambassador has the keys
		),
	}
}

// wanted reports whether there is a model.
func (e *embedder) wanted() bool { return e.config.Model != "" }

// trouble is what is wrong with the endpoint, as far as it is known; nil if nothing is.
func (e *embedder) trouble() error {
	e.mu.Lock()
	defer e.mu.Unlock()

	return e.problem
}

func (e *embedder) note(problem error) {
	e.mu.Lock()
	defer e.mu.Unlock()

	e.problem, e.until = problem, time.Now().Add(e.config.Cooldown)
}

// cooling is the trouble that is too fresh to try again.
func (e *embedder) cooling() error {
	e.mu.Lock()
	defer e.mu.Unlock()

	if e.problem != nil && time.Now().Before(e.until) {
		return e.problem
	}

	return nil
}

// query returns a query's vector.
func (e *embedder) query(ctx context.Context, text string) ([]float32, error) {
	text = text[:min(len(text), maxQuery)]

	if known, ok := e.queries.Get(text); ok {
		return known, nil
	}

	if err := e.cooling(); err != nil {
		return nil, err
	}

	limit := e.config.QueryTimeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2) // words need their time, too
	}

	asking, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	made, err := e.ask(asking, []string{text})
	if err != nil {
		if ctx.Err() == nil && refused(err) == nil { // what is wrong with a query says nothing of the endpoint
			e.note(err)
		}

		return nil, err
	}

	e.note(nil)
	e.queries.Add(text, made[0])

	return made[0], nil
}

// ask returns the vectors of texts, of length 1.
func (e *embedder) ask(ctx context.Context, texts []string) ([][]float32, error) {
	answer, err := e.service.New(ctx, openai.EmbeddingNewParams{
		Model: e.config.Model, Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: texts},
		EncodingFormat: openai.EmbeddingNewParamsEncodingFormatFloat,
	})
	e.metrics.embedded(ctx, len(texts), err)

	if err != nil {
		return nil, fmt.Errorf("ask for embeddings: %w", err)
	}

	made := make([][]float32, len(texts))

	for _, one := range answer.Data {
		if one.Index < 0 || one.Index >= int64(len(texts)) || made[one.Index] != nil {
			return nil, fmt.Errorf("ask for embeddings: the answer has a vector for text %d of %d", one.Index, len(texts))
		}

		if made[one.Index], err = unit(one.Embedding); err != nil {
			return nil, fmt.Errorf("ask for embeddings: %w", err)
		}
	}

	for i, vector := range made {
		if vector == nil {
			return nil, fmt.Errorf("ask for embeddings: the answer has no vector for text %d of %d", i, len(texts))
		}
	}

	return made, nil
}

// refused is the endpoint's word that it does not take a text, and not that it can't work.
func refused(err error) *openai.Error {
	said, ok := errors.AsType[*openai.Error](err)
	if !ok {
		return nil
	}

	switch said.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return said
	default:
		return nil
	}
}
