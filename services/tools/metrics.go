package tools

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/telemetry"
)

// metrics are counted once per run, not per request for its result.
type metrics struct {
	calls    metric.Int64Counter
	duration metric.Float64Histogram
	// convention is the duration under the name of the GenAI conventions, by agent besides.
	convention metric.Float64Histogram
}

func newMetrics(meter metric.Meter) (*metrics, error) {
	calls, callsErr := meter.Int64Counter("serin_tool_calls_total",
		metric.WithDescription("Tool calls that ran, by tool and outcome."))
	duration, durationErr := meter.Float64Histogram("serin_tool_duration_seconds",
		metric.WithDescription("How long tools took."), metric.WithUnit("s"))

	convention, conventionErr := meter.Float64Histogram(telemetry.MetricExecuteTool,
		metric.WithDescription("How long tools took, by agent and tool."), metric.WithUnit(telemetry.UnitSeconds))

	return &metrics{calls: calls, duration: duration, convention: convention}, errors.Join(callsErr, durationErr, conventionErr)
}

func (m *metrics) record(ctx context.Context, r *run, outcome eventv1.ToolResult_Outcome, took time.Duration) {
	name := attribute.String("tool", r.toolName())
	m.calls.Add(ctx, 1, metric.WithAttributes(name, attribute.String("outcome", outcomeLabel(outcome))))
	m.duration.Record(ctx, took.Seconds(), metric.WithAttributes(name))

	labels := []attribute.KeyValue{telemetry.ToolName.String(r.toolName()), telemetry.AgentName.String(r.agent)}
	if outcome != eventv1.ToolResult_OUTCOME_OK {
		labels = append(labels, telemetry.ErrorType.String(outcomeLabel(outcome)))
	}

	m.convention.Record(ctx, took.Seconds(), metric.WithAttributes(labels...))
}

// outcomeLabel is an outcome in metrics and logs.
func outcomeLabel(outcome eventv1.ToolResult_Outcome) string {
	switch outcome {
	case eventv1.ToolResult_OUTCOME_OK:
		return "ok"
	case eventv1.ToolResult_OUTCOME_ERROR:
		return "error"
	case eventv1.ToolResult_OUTCOME_REJECTED:
		return "rejected"
	case eventv1.ToolResult_OUTCOME_CANCELLED:
		return "cancelled"
	case eventv1.ToolResult_OUTCOME_UNKNOWN:
		return "unknown"
	case eventv1.ToolResult_OUTCOME_UNSPECIFIED:
		return "unspecified"
	default:
		return "unspecified"
	}
}
