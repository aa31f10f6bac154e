package telemetry_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/serinhq/serin/internal/telemetry"
)

func TestTurnsAreRejoined(t *testing.T) {
	made := newTelemetry(t, telemetry.Options{Writer: &bytes.Buffer{}})
	ctx, span := made.Tracer.Start(t.Context(), "request")
	kept := telemetry.Traceparent(ctx)

	if later := telemetry.Rejoin(t.Context(), kept); trace.SpanContextFromContext(later).TraceID() != span.SpanContext().TraceID() {
		t.Errorf("%q is not rejoined", kept)
	}

	child, inner := made.Tracer.Start(ctx, "child")
	if same := telemetry.Rejoin(child, kept); trace.SpanFromContext(same).SpanContext().SpanID() != inner.SpanContext().SpanID() {
		t.Error("a context of the trace lost its span")
	}

	other, another := made.Tracer.Start(t.Context(), "another request")
	defer another.End()

	if joined := telemetry.Rejoin(other, kept); trace.SpanContextFromContext(joined).TraceID() != span.SpanContext().TraceID() {
		t.Error("a context of another trace was not moved")
	}

	for _, wrong := range []string{"", "00-nothing", strings.Repeat("0", 55)} {
		if telemetry.Rejoin(other, wrong) != other {
			t.Errorf("%q moved a context", wrong)
		}
	}

	if telemetry.Traceparent(t.Context()) != "" {
		t.Error("there is a traceparent without a span")
	}
}

// receiver counts what it gets, by path.
func receiver(t *testing.T) (traces, metrics *atomic.Int64) {
	t.Helper()

	traces, metrics = &atomic.Int64{}, &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		switch request.URL.Path {
		case "/v1/traces":
			traces.Add(1)
		case "/v1/metrics":
			metrics.Add(1)
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)

	return traces, metrics
}

func TestShutdownFlushes(t *testing.T) {
	traces, metrics := receiver(t)
	t.Setenv("OTEL_METRICS_EXPORTER", "otlp")

	made, err := telemetry.New(telemetry.Options{Service: "test", Writer: &bytes.Buffer{}, Getenv: os.Getenv})
	if err != nil {
		t.Fatal(err)
	}

	_, span := made.Tracer.Start(t.Context(), "request", trace.WithSpanKind(trace.SpanKindServer))
	span.End()

	counter, _ := made.Meter.Int64Counter("serin_handoffs_total")
	counter.Add(t.Context(), 1)

	if err := made.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	if traces.Load() != 1 || metrics.Load() != 1 {
		t.Errorf("%d exports of traces and %d of metrics, want one of each", traces.Load(), metrics.Load())
	}

	if page := scrape(t, made); !strings.Contains(page, "go_goroutines") {
		t.Error("Prometheus has nothing any more")
	}
}

// TestNothingLeavesUnlessAskedFor: the variables of the process do not count where nobody hands them on.
func TestNothingLeavesUnlessAskedFor(t *testing.T) {
	traces, _ := receiver(t)

	for _, variables := range []func(string) string{nil, func(string) string { return "" }} {
		made, err := telemetry.New(telemetry.Options{Writer: &bytes.Buffer{}, Getenv: variables})
		if err != nil {
			t.Fatal(err)
		}

		_, span := made.Tracer.Start(t.Context(), "request", trace.WithSpanKind(trace.SpanKindServer))
		if span.IsRecording() || !span.SpanContext().IsValid() {
			t.Errorf("recording %v, ids %v; want ids for logs and nothing recorded", span.IsRecording(), span.SpanContext())
		}

		span.End()

		if err := made.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}

	if traces.Load() != 0 {
		t.Error("spans were exported")
	}
}

func TestShutdownWaitsForNobody(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()

	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+silent.Addr().String())

	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)

		made, err := telemetry.New(telemetry.Options{Writer: &bytes.Buffer{}, Getenv: os.Getenv})
		if err != nil {
			t.Fatal(err)
		}

		_, span := made.Tracer.Start(t.Context(), "request", trace.WithSpanKind(trace.SpanKindServer))
		span.End()

		began := time.Now()
		err = made.Shutdown(context.Background())

		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: shutting down took %s", protocol, took)
		}

		if err == nil {
			t.Errorf("%s: spans were lost and nobody says so", protocol)
		}
	}
}

// sharedBuffer is what spans and logs may be written to at once, as to standard error.
type sharedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *sharedBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.text.Write(data)
}

func (b *sharedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.text.String()
}

func TestConsole(t *testing.T) {
	var out sharedBuffer

	made, err := telemetry.New(telemetry.Options{Service: "triage", Writer: &out, Getenv: func(name string) string {
		return map[string]string{"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "wrong"}[name]
	}})
	if err != nil {
		t.Fatal(err)
	}

	_, span := made.Tracer.Start(t.Context(), "POST /v1/things", trace.WithSpanKind(trace.SpanKindServer))
	telemetry.Failed(span, "timeout")
	span.End()

	if err := made.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	for _, want := range []string{`"Name":"POST /v1/things"`, `"Value":"triage"`, `"error.type"`, `OTEL_TRACES_SAMPLER`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
}
