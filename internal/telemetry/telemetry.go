// Package telemetry makes a process's logger, meter and tracer. Nothing here is global: providers are passed to whoever
// needs them.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// scope is the instrumentation scope of everything that Serin records itself.
const scope = "github.com/serinhq/serin"

// Options say how a process tells about itself. The zero value logs JSON at level info to standard error.
type Options struct {
	// Service is the name that every log line carries, such as serin-gateway or an agent's name.
	Service string
	// Writer gets the log; nil means standard error.
	Writer io.Writer
	// Level is the least level that is logged.
	Level slog.Level
	// Text makes lines for people rather than JSON.
	Text bool
	// Content allows message content (prompts, answers, arguments) in logs. Off unless asked for.
	Content bool
}

// Telemetry is what a process records with. Make it with [New] or [Discard].
type Telemetry struct {
	Logger         *slog.Logger
	Meter          metric.Meter
	Tracer         trace.Tracer
	MeterProvider  metric.MeterProvider
	TracerProvider trace.TracerProvider
	// Propagator carries trace ids between processes: W3C trace context.
	Propagator propagation.TextMapPropagator
	// Content says whether message content may be logged.
	Content bool

	registry *prometheus.Registry
	shutdown []func(context.Context) error
}

// New makes a process's telemetry.
func New(options Options) (*Telemetry, error) {
	if options.Writer == nil {
		options.Writer = os.Stderr
	}

	registry := newRegistry()

	meters, err := newMeterProvider(registry)
	if err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}

	tracers := newTracerProvider()

	return &Telemetry{
		Logger:         slog.New(newLogHandler(options)),
		Meter:          meters.Meter(scope),
		Tracer:         tracers.Tracer(scope),
		MeterProvider:  meters,
		TracerProvider: tracers,
		Propagator:     propagation.TraceContext{},
		Content:        options.Content,
		registry:       registry,
		shutdown:       []func(context.Context) error{meters.Shutdown, tracers.Shutdown},
	}, nil
}

// Discard returns telemetry that keeps nothing, for tests and for embedding.
func Discard() *Telemetry {
	meters, tracers := metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider()

	return &Telemetry{
		Logger:         slog.New(slog.DiscardHandler),
		Meter:          meters.Meter(scope),
		Tracer:         tracers.Tracer(scope),
		MeterProvider:  meters,
		TracerProvider: tracers,
		Propagator:     propagation.TraceContext{},
		registry:       prometheus.NewRegistry(),
	}
}

// Handler serves the metrics in Prometheus' format, under the names that they were made with.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{})
}

// Shutdown flushes and ends the providers. Recording afterwards does nothing.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	errs := make([]error, len(t.shutdown))
	for i, shutdown := range t.shutdown {
		errs[i] = shutdown(ctx)
	}

	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("ending telemetry: %w", err)
	}

	return nil
}
