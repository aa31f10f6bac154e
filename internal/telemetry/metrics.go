package telemetry

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/otlptranslator"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

// secondsBuckets are fine enough for p50, p95 and p99 of anything between a local RPC (1 ms) and a long turn (10 min).
func secondsBuckets() []float64 {
	return []float64{
		0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.1, 0.15, 0.25, 0.4, 0.6, 1, 1.5, 2.5, 4, 6, 10, 15, 25, 40, 60, 90, 120,
		180, 300, 600,
	}
}

func newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)

	return registry
}

// newMeterProvider serves metrics to Prometheus, and pushes them too if that is wanted. In Prometheus the names of
// OpenTelemetry's conventions have the suffixes that dashboards look for, such as _seconds; Serin's own have theirs already.
func (s *settings) newMeterProvider(registry *prometheus.Registry, origin *resource.Resource) (*sdkmetric.MeterProvider, error) {
	exporter, err := otelprometheus.New(
		otelprometheus.WithRegisterer(registry),
		otelprometheus.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes),
		otelprometheus.WithoutScopeInfo(),
		otelprometheus.WithoutTargetInfo(),
	)
	if err != nil {
		return nil, fmt.Errorf("making the Prometheus exporter: %w", err)
	}

	all := []sdkmetric.Option{sdkmetric.WithReader(exporter), sdkmetric.WithView(secondsView), sdkmetric.WithResource(origin)}

	for range s.metrics { // there is one kind of them
		reader, err := s.newMetricReader()
		if err != nil {
			return nil, err
		}

		all = append(all, sdkmetric.WithReader(reader))
	}

	return sdkmetric.NewMeterProvider(all...), nil
}

// secondsView gives every histogram of seconds the same buckets, so that revisions and releases can be compared.
func secondsView(instrument sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	if instrument.Kind != sdkmetric.InstrumentKindHistogram {
		return sdkmetric.Stream{}, false
	}

	if instrument.Unit != "s" && !strings.HasSuffix(instrument.Name, "_seconds") {
		return sdkmetric.Stream{}, false
	}

	return sdkmetric.Stream{
		Name: instrument.Name, Description: instrument.Description, Unit: instrument.Unit,
		Aggregation: sdkmetric.AggregationExplicitBucketHistogram{Boundaries: secondsBuckets()},
	}, true
}
