package agent

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics are what the agent records.
type metrics struct {
	agent, revision string

	turns    metric.Float64Histogram
	active   metric.Int64UpDownCounter
	handoffs metric.Int64Counter
}

func newMetrics(meter metric.Meter, agent, revision string) (*metrics, error) {
	turns, err := meter.Float64Histogram("serin_turn_duration_seconds",
		metric.WithDescription("Time from a user's message to the end of its turn."), metric.WithUnit("s"))
	if err != nil {
		return nil, fmt.Errorf("metric: %w", err)
	}

	active, err := meter.Int64UpDownCounter("active_conversations",
		metric.WithDescription("Segments that this process executes now; a turn that waits for a human is not one of them."))
	if err != nil {
		return nil, fmt.Errorf("metric: %w", err)
	}

	handoffs, err := meter.Int64Counter("serin_handoffs_total", metric.WithDescription("Handoffs to other agents."))
	if err != nil {
		return nil, fmt.Errorf("metric: %w", err)
	}

	m := &metrics{agent: agent, revision: revision, turns: turns, active: active, handoffs: handoffs}
	m.active.Add(context.Background(), 0, m.labels()) // so that an idle agent is seen as one

	return m, nil
}

func (m *metrics) labels(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributes(append(more, attribute.String("agent", m.agent), attribute.String("revision", m.revision))...)
}

func (m *metrics) begin(ctx context.Context) { m.active.Add(ctx, 1, m.labels()) }
func (m *metrics) end(ctx context.Context)   { m.active.Add(ctx, -1, m.labels()) }

// turn records the end of a turn that was accepted at the given time.
func (m *metrics) turn(ctx context.Context, accepted time.Time, outcome string) {
	m.turns.Record(ctx, time.Since(accepted).Seconds(), m.labels(attribute.String("outcome", outcome)))
}

func (m *metrics) handoff(ctx context.Context, to string) {
	m.handoffs.Add(ctx, 1, metric.WithAttributes(attribute.String("from", m.agent), attribute.String("to", to)))
}
