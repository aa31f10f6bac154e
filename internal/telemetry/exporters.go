package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// These few lines stand for go.opentelemetry.io/contrib/exporters/autoexport, which links twice as many modules (the
// exporters of logs, and second ones for metrics) into every process.

// newSpanExporter makes one exporter; it connects to nothing yet.
func (s *settings) newSpanExporter(name string, writer io.Writer) (sdktrace.SpanExporter, error) {
	var (
		exporter sdktrace.SpanExporter
		err      error
	)

	switch {
	case name == exporterConsole:
		exporter, err = stdouttrace.New(stdouttrace.WithWriter(writer))
	case s.tracesProtocol == protocolGRPC:
		exporter, err = otlptracegrpc.New(context.Background())
	default:
		exporter, err = otlptracehttp.New(context.Background())
	}

	if err != nil {
		return nil, fmt.Errorf("making the exporter of traces %q: %w", name, err)
	}

	return exporter, nil
}

// newMetricReader makes what pushes metrics to a receiver of OTLP, every minute or as OTEL_METRIC_EXPORT_INTERVAL says.
func (s *settings) newMetricReader() (sdkmetric.Reader, error) {
	var (
		exporter sdkmetric.Exporter
		err      error
	)

	if s.metricsProtocol == protocolGRPC {
		exporter, err = otlpmetricgrpc.New(context.Background())
	} else {
		exporter, err = otlpmetrichttp.New(context.Background())
	}

	if err != nil {
		return nil, fmt.Errorf("making the exporter of metrics: %w", err)
	}

	return sdkmetric.NewPeriodicReader(exporter), nil
}

// complainEvery is the least time between two lines about exports that fail.
const complainEvery = time.Minute

// complaints log that exporting fails, but not each time: a receiver may be away for long.
type complaints struct {
	logger *slog.Logger
	now    func() time.Time

	mu    sync.Mutex
	last  time.Time
	since int
}

// Handle is OpenTelemetry's ErrorHandler.
func (c *complaints) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.since++
	if now := c.now(); now.Sub(c.last) >= complainEvery {
		c.logger.Warn("telemetry: an export failed", "error", err, "failures", c.since)
		c.last, c.since = now, 0
	}
}
