// Package telemetry makes a process's logger, meter and tracer. Providers are passed to whoever needs them; global is only
// where exporters complain. The names of what is recorded are in conventions.go, what to ask Prometheus in queries.go.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
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
	// Version and Resource tell more of the process in what is exported.
	Version  string
	Resource []attribute.KeyValue
	// Getenv reads OpenTelemetry's standard variables. Nil means that none is set: then nothing is exported, and metrics
	// are for Prometheus alone. What the exporters themselves read is the process's environment.
	Getenv func(string) string
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
	// Content says whether spans may hold content of messages: prompts, answers, arguments and results of tools. Logs and
	// metrics never do.
	Content bool
	// OlderNames says that metrics are wanted under the conventions' older names, too.
	OlderNames bool

	registry *prometheus.Registry
	shutdown []func(context.Context) error
}

// New makes a process's telemetry.
func New(options Options) (*Telemetry, error) {
	if options.Writer == nil {
		options.Writer = os.Stderr
	}

	read := readSettings(options.Getenv)
	origin := read.newResource(options)
	registry := newRegistry()

	meters, err := read.newMeterProvider(registry, origin)
	if err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}

	tracers, err := read.newTracerProvider(options, origin)
	if err != nil {
		return nil, fmt.Errorf("making traces: %w", err)
	}

	made := &Telemetry{
		Logger:         slog.New(newLogHandler(options)),
		Meter:          meters.Meter(scope),
		Tracer:         tracers.Tracer(scope),
		MeterProvider:  meters,
		TracerProvider: tracers,
		Propagator:     propagation.TraceContext{},
		Content:        read.content,
		OlderNames:     read.olderNames,
		registry:       registry,
		shutdown:       []func(context.Context) error{tracers.Shutdown, meters.Shutdown},
	}
	made.complain(read)

	return made, nil
}

// complain logs what is wrong with the variables, and has exporters complain in the process's log.
func (t *Telemetry) complain(read *settings) {
	for _, problem := range read.problems {
		t.Logger.Warn("telemetry: " + problem)
	}

	if len(read.traces)+len(read.metrics) > 0 {
		otel.SetErrorHandler(&complaints{logger: t.Logger, now: time.Now})
	}
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

// flushTimeout bounds Shutdown: whoever ends a process does not wait for a receiver that is not there.
const flushTimeout = 1500 * time.Millisecond

// Shutdown flushes and ends the providers, within 1.5 s. Recording afterwards does nothing.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()

	errs := make([]error, len(t.shutdown))

	var flushing sync.WaitGroup // a receiver that hangs takes no time from the others
	for i, shutdown := range t.shutdown {
		flushing.Go(func() { errs[i] = shutdown(ctx) })
	}

	flushing.Wait()

	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("ending telemetry: %w", err)
	}

	return nil
}
