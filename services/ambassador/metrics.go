package ambassador

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// maxModels is how many model names become labels; clients choose the names, and each is a time series.
const maxModels = 200

// metrics records what the ambassador does. Requests are counted per try at a provider.
type metrics struct {
	requests metric.Int64Counter
	tokens   metric.Int64Counter
	costs    metric.Float64Counter
	waits    metric.Float64Histogram
	depth    metric.Registration

	series sync.Map // seriesKey -> metric.MeasurementOption
	mu     sync.Mutex
	models map[string]bool
}

type seriesKey struct{ provider, model, kind string }

func newMetrics(meter metric.Meter, providers []*provider) (*metrics, error) {
	made := &metrics{models: map[string]bool{}}

	var errs [6]error

	made.requests, errs[0] = meter.Int64Counter("serin_llm_requests_total",
		metric.WithDescription("Tries at LLM providers by outcome."))
	made.tokens, errs[1] = meter.Int64Counter("serin_llm_tokens_total",
		metric.WithDescription("Tokens as billed by LLM providers, estimated where they do not say; cached ones are among the input."))
	made.waits, errs[2] = meter.Float64Histogram("serin_llm_queue_wait_seconds",
		metric.WithDescription("Time that requests waited for a provider's slot."),
		metric.WithExplicitBucketBoundaries(0.001, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60))

	made.costs, errs[5] = meter.Float64Counter("serin_llm_cost_usd_total",
		metric.WithDescription("US dollars that LLM providers bill, by the price table; models without a price are left out."))

	depth, err := meter.Int64ObservableGauge("llm_request_queue_depth",
		metric.WithDescription("Requests that wait for a provider's slot."))
	errs[3] = err

	made.depth, errs[4] = meter.RegisterCallback(func(_ context.Context, observer metric.Observer) error {
		for _, provider := range providers {
			observer.ObserveInt64(depth, provider.queue.depth(), made.label(seriesKey{provider: provider.Name}, ""))
		}

		return nil
	}, depth)

	return made, errors.Join(errs[:]...)
}

func (m *metrics) close() { _ = m.depth.Unregister() } // the meter is gone already

// label returns the attributes of a series, made once.
func (m *metrics) label(key seriesKey, name string) metric.MeasurementOption {
	if known, ok := m.series.Load(key); ok {
		option, _ := known.(metric.MeasurementOption)

		return option
	}

	attributes := []attribute.KeyValue{attribute.String("provider", key.provider)}
	if key.model != "" {
		attributes = append(attributes, attribute.String("model", key.model))
	}

	if name != "" {
		attributes = append(attributes, attribute.String(name, key.kind))
	}

	option := metric.WithAttributeSet(attribute.NewSet(attributes...))
	m.series.Store(key, option)

	return option
}

// model bounds the number of label values.
func (m *metrics) model(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()

	if !m.models[name] && len(m.models) >= maxModels {
		return "other"
	}

	m.models[name] = true

	return name
}

func (m *metrics) waited(ctx context.Context, provider string, wait time.Duration) {
	m.waits.Record(ctx, wait.Seconds(), m.label(seriesKey{provider: provider}, ""))
}

// tried counts one try at a provider, the tokens that it used and what they cost.
func (m *metrics) tried(ctx context.Context, target target, failed *failure, used usage, cost float64) {
	outcome := "ok"
	if failed != nil {
		outcome = string(failed.class)
	}

	key := seriesKey{provider: target.provider.Name, model: m.model(target.model), kind: outcome}
	m.requests.Add(ctx, 1, m.label(key, "outcome"))

	for kind, count := range map[string]int64{"input": used.prompt, "output": used.completion, "cached": used.cached} {
		if count > 0 {
			key.kind = kind
			m.tokens.Add(ctx, count, m.label(key, "kind"))
		}
	}

	if cost > 0 {
		key.kind = ""
		m.costs.Add(ctx, cost, m.label(key, ""))
	}
}
