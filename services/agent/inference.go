package agent

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/serinhq/serin/internal/telemetry"
)

// inference records model calls by the GenAI conventions, by agent and revision besides.
type inference struct {
	agent, revision string

	duration, firstChunk       metric.Float64Histogram
	input, output, cached      metric.Int64Counter
	callInput, callOutput      metric.Int64Histogram
	olderTokens, olderDuration metric.Float64Histogram // nil unless wanted
}

// inferenceCall is one call: it has an answer, or a class of error.
type inferenceCall struct {
	model       string
	answer      *answer
	class       string
	took, first time.Duration
}

func newInference(told *telemetry.Telemetry, agent, revision string) (*inference, error) {
	var (
		i    = &inference{agent: agent, revision: revision}
		errs [9]error
	)

	tokens := metric.WithUnit(telemetry.UnitTokens)
	sizes := metric.WithExplicitBucketBoundaries(telemetry.TokenBuckets()...)

	i.duration, errs[0] = told.Meter.Float64Histogram(telemetry.MetricInferenceDuration,
		metric.WithUnit(telemetry.UnitSeconds), metric.WithDescription("Time that model calls took, to the last chunk."))
	i.firstChunk, errs[1] = told.Meter.Float64Histogram(telemetry.MetricFirstChunk,
		metric.WithUnit(telemetry.UnitSeconds), metric.WithDescription("Time until model calls had their first chunk."))
	i.input, errs[2] = told.Meter.Int64Counter(telemetry.MetricInput, tokens,
		metric.WithDescription("Tokens of prompts, cached ones included."))
	i.output, errs[3] = told.Meter.Int64Counter(telemetry.MetricOutput, tokens,
		metric.WithDescription("Tokens of answers, reasoning included."))
	i.cached, errs[4] = told.Meter.Int64Counter(telemetry.MetricCacheRead, tokens,
		metric.WithDescription("Tokens of prompts that came from a provider's cache."))
	i.callInput, errs[5] = told.Meter.Int64Histogram(telemetry.MetricCallInput, tokens, sizes,
		metric.WithDescription("Tokens of the prompt of one call."))
	i.callOutput, errs[6] = told.Meter.Int64Histogram(telemetry.MetricCallOutput, tokens, sizes,
		metric.WithDescription("Tokens of the answer of one call."))

	if told.OlderNames {
		i.olderTokens, errs[7] = told.Meter.Float64Histogram(telemetry.MetricOlderUsage, tokens, sizes,
			metric.WithDescription("Tokens of one call, by type; the older name."))
		i.olderDuration, errs[8] = told.Meter.Float64Histogram(telemetry.MetricOlderDuration,
			metric.WithUnit(telemetry.UnitSeconds), metric.WithDescription("Time that model calls took; the older name."))
	}

	return i, errors.Join(errs[:]...)
}

func (i *inference) record(ctx context.Context, call inferenceCall) {
	labels := i.labels(call)
	with := metric.WithAttributes(labels...)
	i.duration.Record(ctx, call.took.Seconds(), with)

	if i.olderDuration != nil {
		i.olderDuration.Record(ctx, call.took.Seconds(), metric.WithAttributes(telemetry.WithOlder(labels)...))
	}

	if call.first > 0 {
		i.firstChunk.Record(ctx, call.first.Seconds(), with)
	}

	if call.answer != nil {
		i.tokens(ctx, call.answer, labels)
	}
}

func (i *inference) tokens(ctx context.Context, answer *answer, labels []attribute.KeyValue) {
	with, used := metric.WithAttributes(labels...), answer.usage
	i.input.Add(ctx, used.GetInputTokens(), with)
	i.output.Add(ctx, used.GetOutputTokens(), with)
	i.cached.Add(ctx, used.GetCachedInputTokens(), with)
	i.callInput.Record(ctx, used.GetInputTokens(), with)
	i.callOutput.Record(ctx, used.GetOutputTokens(), with)

	if i.olderTokens == nil {
		return
	}

	older := telemetry.WithOlder(labels)
	i.olderTokens.Record(ctx, float64(used.GetInputTokens()), metric.WithAttributes(append(older, telemetry.TokenType.String("input"))...))
	i.olderTokens.Record(ctx, float64(used.GetOutputTokens()), metric.WithAttributes(append(older, telemetry.TokenType.String("output"))...))
}

// labels are what a call is counted by. Who answers is known from the answer alone.
func (i *inference) labels(call inferenceCall) []attribute.KeyValue {
	labels := make([]attribute.KeyValue, 0, 8)
	labels = append(labels,
		telemetry.OperationName.String(telemetry.OperationChat), telemetry.RequestModel.String(call.model),
		telemetry.AgentName.String(i.agent), telemetry.AgentVersion.String(i.revision))

	if call.answer != nil {
		labels = append(labels,
			telemetry.ProviderName.String(call.answer.provider), telemetry.ResponseModel.String(call.answer.model))
	}

	if call.class != "" {
		labels = append(labels, telemetry.ErrorType.String(call.class))
	}

	return labels
}
