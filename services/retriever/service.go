package retriever

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	retrieverv1 "github.com/serinhq/serin/gen/serin/retriever/v1"
	"github.com/serinhq/serin/internal/drain"
	"github.com/serinhq/serin/internal/health"
)

// Service answers with passages. Make it with [New], keep its index up to date with [Service.Run].
type Service struct {
	retrieverv1.UnimplementedRetrieverServiceServer

	config   Config
	index    *index
	vectors  *vectors
	embedder *embedder
	metrics  *metrics
	pages    pageClients

	// changing is held by whoever changes the index and with it the vectors, so that no vector outlives its passage.
	changing sync.Mutex
	// changed tells of passages that may have no vector, again has the documents looked at before it is time.
	changed, again chan struct{}
	// shelf is what the last look came to; nil before the first one has ended.
	shelf atomic.Pointer[shelf]
}

// shelf is what is known of all documents.
type shelf struct {
	documents []*retrieverv1.Document
	passages  int
	refused   int
}

// New opens the index. Errors: INVALID_ARGUMENT, which names the fields; FAILED_PRECONDITION (DATA_NOT_WRITABLE).
func New(ctx context.Context, config Config) (*Service, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}

	index, err := openIndex(ctx, config.Index, config.Telemetry.Logger)
	if err != nil {
		return nil, err
	}

	service := &Service{
		config: config, index: index, vectors: newVectors(), changed: make(chan struct{}, 1), again: make(chan struct{}, 1),
		pages: newPageClients(),
	}

	if err := service.open(ctx); err != nil {
		return nil, errors.Join(err, index.close())
	}

	return service, nil
}

func (s *Service) open(ctx context.Context) (err error) {
	if s.metrics, err = newMetrics(s.config.Telemetry.Meter, s); err != nil {
		return fmt.Errorf("making metrics: %w", err)
	}

	s.embedder = newEmbedder(s.config.Embeddings, s.metrics)
	if !s.embedder.wanted() {
		return nil
	}

	return s.index.load(ctx, s.config.Embeddings.Model, s.vectors)
}

// Register adds the service to a gRPC server.
func (s *Service) Register(registrar grpc.ServiceRegistrar) {
	retrieverv1.RegisterRetrieverServiceServer(registrar, s)
}

// Run keeps the index up to date until the context ends, and then returns nil.
func (s *Service) Run(ctx context.Context) error {
	return drain.Run(ctx,
		drain.Task{Name: "documents", Run: s.keepIndexed},
		drain.Task{Name: "embeddings", Run: s.keepEmbedded},
	)
}

// Close closes the index. Run must have returned.
func (s *Service) Close() error {
	s.metrics.close()
	s.pages.close()

	return s.index.close()
}

// Look has the documents looked at now.
func (s *Service) Look() {
	select {
	case s.again <- struct{}{}:
	default:
	}
}

func (s *Service) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Checks are what readiness depends on: that the documents were read, and that the index can be. Embeddings are told of:
// words are found without them.
func (s *Service) Checks() []health.Check {
	return []health.Check{
		{Name: "documents", TTL: 200 * time.Millisecond, Func: s.checkDocuments},
		{Name: "index", Func: s.index.ping},
		{Name: "embeddings", Informative: true, Func: func(context.Context) error { return s.embedder.trouble() }},
	}
}

func (s *Service) checkDocuments(context.Context) error {
	if s.shelf.Load() == nil {
		return errors.New("they are being read for the first time")
	}

	return nil
}

// publish shows what a look came to.
func (s *Service) publish(from *library) {
	shown := &shelf{passages: from.passages, refused: len(from.problems)}
	names := map[string]bool{}

	for name := range from.indexed {
		names[name] = true
	}

	for name := range from.problems {
		names[name] = true
	}

	for _, name := range slices.Sorted(maps.Keys(names)) {
		made := &retrieverv1.Document{Document: name}

		if one, indexed := from.indexed[name]; indexed {
			made.Title, made.Bytes, made.Passages = one.title, one.bytes, int32(one.passages) //nolint:gosec // bounded by the limits
			made.IndexedAt = timestamppb.New(one.indexedAt)
		}

		if problem := from.problems[name]; problem != nil {
			made.Problem = problem.Error()
		}

		shown.documents = append(shown.documents, made)
	}

	s.shelf.Store(shown)
}
