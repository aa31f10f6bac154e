package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/serinhq/serin/internal/telemetry"
)

func scrape(t *testing.T, from *telemetry.Telemetry) string {
	t.Helper()

	recorder := httptest.NewRecorder()
	from.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))

	if recorder.Code != http.StatusOK {
		t.Fatalf("scraping: %d %s", recorder.Code, recorder.Body)
	}

	return recorder.Body.String()
}

func newTelemetry(t *testing.T, options telemetry.Options) *telemetry.Telemetry {
	t.Helper()

	made, err := telemetry.New(options)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if err := made.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})

	return made
}

func TestMetricNamesAreThoseGiven(t *testing.T) {
	made := newTelemetry(t, telemetry.Options{Writer: &bytes.Buffer{}})
	ctx := t.Context()
	labels := metric.WithAttributes(attribute.String("agent", "billing"))

	counter, _ := made.Meter.Int64Counter("serin_handoffs_total")
	counter.Add(ctx, 2, labels)

	gauge, _ := made.Meter.Int64UpDownCounter("active_conversations")
	gauge.Add(ctx, 3, labels)

	seconds, _ := made.Meter.Float64Histogram("serin_turn_duration_seconds", metric.WithUnit("s"))
	seconds.Record(ctx, 0.0015, labels)
	seconds.Record(ctx, 100, labels)

	page := scrape(t, made)
	for _, line := range []string{
		`serin_handoffs_total{agent="billing"} 2`,
		`active_conversations{agent="billing"} 3`,
		`serin_turn_duration_seconds_bucket{agent="billing",le="0.001"} 0`,
		`serin_turn_duration_seconds_bucket{agent="billing",le="0.002"} 1`,
		`serin_turn_duration_seconds_bucket{agent="billing",le="120"} 2`,
		`serin_turn_duration_seconds_count{agent="billing"} 2`,
	} {
		if !strings.Contains(page, "\n"+line+"\n") {
			t.Errorf("no line %q in the metrics", line)
		}
	}

	for _, name := range []string{"go_goroutines ", "process_cpu_seconds_total "} {
		if !strings.Contains(page, "\n"+name) {
			t.Errorf("no %s in the metrics", name)
		}
	}

	if strings.Contains(page, "target_info") || strings.Contains(page, "otel_scope") {
		t.Error("the metrics carry more than what was recorded")
	}
}

func TestLogLinesCarryServiceAndTrace(t *testing.T) {
	var log bytes.Buffer

	made := newTelemetry(t, telemetry.Options{Service: "serin-gateway", Writer: &log})
	ctx, span := made.Tracer.Start(t.Context(), "turn")

	made.Logger.With("turn", "t1").InfoContext(ctx, "accepted")
	made.Logger.DebugContext(ctx, "not logged at this level")
	span.End()

	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("%v in %s", err, &log)
	}

	want := map[string]string{
		"service": "serin-gateway", "turn": "t1", "msg": "accepted",
		"trace_id": span.SpanContext().TraceID().String(), "span_id": span.SpanContext().SpanID().String(),
	}
	for key, value := range want {
		if line[key] != value {
			t.Errorf("%s = %v, want %s", key, line[key], value)
		}
	}

	if !span.SpanContext().IsValid() {
		t.Error("the span has no ids")
	}
}

func TestTraceIdsTravel(t *testing.T) {
	made := newTelemetry(t, telemetry.Options{Writer: &bytes.Buffer{}})
	ctx, span := made.Tracer.Start(t.Context(), "client")
	carrier := propagation.MapCarrier{}
	made.Propagator.Inject(ctx, carrier)

	_, remote := made.Tracer.Start(made.Propagator.Extract(t.Context(), carrier), "server")
	if remote.SpanContext().TraceID() != span.SpanContext().TraceID() {
		t.Error("the trace did not go on in the other process")
	}
}

func TestTextIsForPeople(t *testing.T) {
	var log bytes.Buffer

	made := newTelemetry(t, telemetry.Options{Service: "up", Writer: &log, Text: true, Level: slog.LevelDebug})
	made.Logger.WithGroup("g").Debug("hello", "who", "you")

	if got := log.String(); !strings.Contains(got, `level=DEBUG msg=hello service=up g.who=you`) {
		t.Errorf("logged %q", got)
	}
}

func TestDiscardKeepsNothing(t *testing.T) {
	made := telemetry.Discard()
	counter, _ := made.Meter.Int64Counter("serin_handoffs_total")
	counter.Add(t.Context(), 1)
	made.Logger.Error("nobody sees this")

	if page := scrape(t, made); page != "" {
		t.Errorf("metrics of Discard: %s", page)
	}

	ctx, span := made.Tracer.Start(t.Context(), "x")
	if span.SpanContext().IsValid() || trace.SpanContextFromContext(ctx).IsValid() {
		t.Error("Discard made a trace id")
	}

	if err := made.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
