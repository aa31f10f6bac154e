package retriever

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	retrieverv1 "github.com/serinhq/serin/gen/serin/retriever/v1"
	"github.com/serinhq/serin/internal/fault"
)

// metrics records what is asked for, and shows what there is.
type metrics struct {
	queries   metric.Float64Histogram
	texts     metric.Int64Counter
	inventory metric.Registration
}

func newMetrics(meter metric.Meter, service *Service) (*metrics, error) {
	made := &metrics{}

	var errs [6]error

	made.queries, errs[0] = meter.Float64Histogram("serin_retriever_query_duration_seconds",
		metric.WithDescription("Time that queries took, by how they were ranked and what came of them."),
		metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5))
	made.texts, errs[1] = meter.Int64Counter("serin_retriever_embedded_texts_total",
		metric.WithDescription("Texts whose vectors the embeddings endpoint was asked for, passages and queries."))

	passages, err := meter.Int64ObservableGauge("serin_retriever_passages",
		metric.WithDescription("Passages that are indexed; kind bare are those without a vector."))
	errs[2] = err

	documents, err := meter.Int64ObservableGauge("serin_retriever_documents",
		metric.WithDescription("Documents; state refused are those whose newest version is not indexed."))
	errs[3] = err

	made.inventory, errs[4] = meter.RegisterCallback(func(_ context.Context, observer metric.Observer) error {
		shelf := service.shelf.Load()
		if shelf == nil {
			return nil
		}

		observer.ObserveInt64(passages, int64(shelf.passages), label("kind", "all"))
		observer.ObserveInt64(passages, int64(service.waiting()), label("kind", "bare"))
		observer.ObserveInt64(documents, int64(len(shelf.documents)), label("state", "all"))
		observer.ObserveInt64(documents, int64(shelf.refused), label("state", "refused"))

		return nil
	}, passages, documents)

	return made, errors.Join(errs[:]...)
}

func label(name, value string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String(name, value))
}

// close stops showing what there is.
func (m *metrics) close() { _ = m.inventory.Unregister() } // the meter is gone already

func (m *metrics) asked(ctx context.Context, mode retrieverv1.Mode, err error, took time.Duration) {
	outcome := "ok"
	if err != nil {
		outcome = strings.ToLower(fault.From(err).Reason)
	}

	m.queries.Record(ctx, took.Seconds(), metric.WithAttributes(
		attribute.String("ranking", rankingName(mode)), attribute.String("outcome", outcome)))
}

// rankingName is how a ranking is called: hybrid, text, vector, or none.
func rankingName(mode retrieverv1.Mode) string {
	if mode == retrieverv1.Mode_MODE_UNSPECIFIED {
		return "none"
	}

	return strings.ToLower(strings.TrimPrefix(mode.String(), "MODE_"))
}

func (m *metrics) embedded(ctx context.Context, texts int, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "failed"
	}

	m.texts.Add(ctx, int64(texts), label("outcome", outcome))
}
