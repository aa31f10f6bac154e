package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/telemetry"
)

// metrics are what the agent records.
type metrics struct {
	agent, revision string

	turns, segments, first                  metric.Float64Histogram
	active                                  metric.Int64UpDownCounter
	handoffs, resumptions, tokens, triggers metric.Int64Counter
	retrievals, recalls                     metric.Int64Counter
	costs                                   metric.Float64Counter
	inference                               *inference
}

func newMetrics(told *telemetry.Telemetry, agent, revision string) (*metrics, error) {
	var (
		meter = told.Meter
		m     = &metrics{agent: agent, revision: revision}
		errs  [12]error
	)

	m.turns, errs[0] = meter.Float64Histogram("serin_turn_duration_seconds", metric.WithUnit("s"),
		metric.WithDescription("Time from a user's message to the end of its turn."))
	m.first, errs[1] = meter.Float64Histogram("serin_turn_time_to_first_token_seconds", metric.WithUnit("s"),
		metric.WithDescription("Time from a user's message to the first words of an answer."))
	m.segments, errs[2] = meter.Float64Histogram(telemetry.MetricInvokeAgent, metric.WithUnit(telemetry.UnitSeconds),
		metric.WithDescription("Time that an agent had a turn, without what other agents did before and after it."))
	m.active, errs[3] = meter.Int64UpDownCounter("active_conversations",
		metric.WithDescription("Segments that this process executes now; a turn that waits for a human is not one of them."))
	m.handoffs, errs[4] = meter.Int64Counter("serin_handoffs_total", metric.WithDescription("Handoffs to other agents."))
	m.resumptions, errs[5] = meter.Int64Counter("serin_segment_resumptions_total",
		metric.WithDescription("Segments that went on under a new lease: after an executor was lost (restarted) or humans decided (answered)."))
	m.tokens, errs[6] = meter.Int64Counter("serin_agent_tokens_total",
		metric.WithDescription("Tokens that the agent's model calls used; cached ones are among the input."))
	m.costs, errs[7] = meter.Float64Counter("serin_agent_cost_usd_total",
		metric.WithDescription("US dollars that the agent's model calls cost; models without a price are left out."))
	m.triggers, errs[8] = meter.Int64Counter("serin_guardrail_hits_total",
		metric.WithDescription("What guardrails stopped, by rule."))
	m.retrievals, errs[10] = meter.Int64Counter("serin_retrievals_total",
		metric.WithDescription("Look-ups of documents for prompts: ok, degraded (by words alone) or failed (the turn went on without)."))
	m.recalls, errs[11] = meter.Int64Counter("serin_memory_recalls_total",
		metric.WithDescription("Look-ups of memories for prompts: ok, degraded (by words alone) or failed (the turn went on without)."))
	m.inference, errs[9] = newInference(told, agent, revision)

	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}

	m.active.Add(context.Background(), 0, m.labels()) // so that an idle agent is seen as one

	return m, nil
}

func (m *metrics) labels(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributes(append(more, attribute.String("agent", m.agent), attribute.String("revision", m.revision))...)
}

func (m *metrics) begin(ctx context.Context) { m.active.Add(ctx, 1, m.labels()) }

// end records a segment that began at the given time and ended for this process.
func (m *metrics) end(ctx context.Context, began time.Time, outcome handoffv1.Finished_Outcome) {
	m.active.Add(ctx, -1, m.labels())

	labels := []attribute.KeyValue{telemetry.AgentName.String(m.agent), telemetry.AgentVersion.String(m.revision)}
	if outcome == handoffv1.Finished_OUTCOME_FAILED {
		labels = append(labels, telemetry.ErrorType.String(segmentLabel(outcome)))
	}

	m.segments.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(labels...))
}

// turn records the end of a turn that was accepted at the given time.
func (m *metrics) turn(ctx context.Context, accepted time.Time, outcome string) {
	m.turns.Record(ctx, time.Since(accepted).Seconds(), m.labels(attribute.String("outcome", outcome)))
}

func (m *metrics) firstToken(ctx context.Context, accepted time.Time) {
	m.first.Record(ctx, max(0, time.Since(accepted).Seconds()), m.labels())
}

func (m *metrics) resumed(ctx context.Context, cause string) {
	m.resumptions.Add(ctx, 1, m.labels(attribute.String("cause", cause)))
}

// retrieved records a look-up of documents.
func (m *metrics) retrieved(ctx context.Context, outcome string) {
	m.retrievals.Add(ctx, 1, m.labels(attribute.String("outcome", outcome)))
}

// recalled records a look-up of memories.
func (m *metrics) recalled(ctx context.Context, outcome string) {
	m.recalls.Add(ctx, 1, m.labels(attribute.String("outcome", outcome)))
}

// used records what a model call used.
func (m *metrics) used(ctx context.Context, usage *eventv1.Usage) {
	for _, one := range []struct {
		kind  string
		count int64
	}{{"input", usage.GetInputTokens()}, {"output", usage.GetOutputTokens()}, {"cached", usage.GetCachedInputTokens()}} {
		m.tokens.Add(ctx, one.count, m.labels(attribute.String("kind", one.kind)))
	}

	if usage.CostMicros != nil { // a call that costs nothing is not one whose price is unknown
		m.costs.Add(ctx, float64(usage.GetCostMicros())/1e6, m.labels())
	}
}

// noted records what was written to the log.
func (m *metrics) noted(ctx context.Context, events []*eventv1.Event) {
	for _, event := range events {
		switch kind := event.GetKind().(type) {
		case *eventv1.Event_Handoff:
			m.handoffs.Add(ctx, 1, metric.WithAttributes(attribute.String("from", m.agent),
				attribute.String("to", kind.Handoff.GetToAgent()), attribute.String("revision", m.revision)))
		case *eventv1.Event_GuardrailTriggered:
			m.triggers.Add(ctx, 1, m.labels(attribute.String("rule", kind.GuardrailTriggered.GetRule()),
				attribute.String("direction", directionLabel(kind.GuardrailTriggered.GetDirection()))))
		}
	}
}

func directionLabel(direction eventv1.GuardrailTriggered_Direction) string {
	if direction == eventv1.GuardrailTriggered_DIRECTION_OUTPUT {
		return "output"
	}

	return "input"
}
