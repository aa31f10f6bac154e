package agent

import (
	"cmp"
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/serinhq/serin/internal/telemetry"
)

// chat asks the model, and records how that went: one span and one entry in the metrics for a call of the log, however
// often it had to be sent. The span has the labels beside what is known of every call.
func (x *execution) chat(
	ctx context.Context, request modelRequest, show func(string),
	send func(context.Context, modelRequest, func(string)) (*answer, error), labels ...attribute.KeyValue,
) (*answer, error) {
	model := cmp.Or(request.model, x.rules.model)
	ctx, span := x.service.config.Telemetry.Tracer.Start(ctx, telemetry.OperationChat+" "+model,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(x.asked(model, request)...), trace.WithAttributes(labels...))

	defer span.End()

	began, first := time.Now(), time.Duration(0)
	answer, err := send(ctx, request, func(text string) {
		if first == 0 {
			first = time.Since(began)
		}

		show(text)
	})

	x.service.metrics.inference.record(ctx, inferenceCall{
		model: model, answer: answer, class: classOf(err), took: time.Since(began), first: first,
	})
	describeAnswer(span, answer, classOf(err), first)

	if x.service.config.Telemetry.Content {
		discloseChat(span, request, answer)
	}

	return answer, err
}

// asked is what is known of a call before it is made.
func (x *execution) asked(model string, request modelRequest) []attribute.KeyValue {
	return []attribute.KeyValue{
		telemetry.OperationName.String(telemetry.OperationChat),
		telemetry.RequestModel.String(model),
		telemetry.RequestMaxTokens.Int64(request.maxOutput),
		telemetry.RequestStream.Bool(true),
		telemetry.ConversationID.String(x.tenure.conversation),
		telemetry.AgentName.String(x.service.name),
		telemetry.AgentVersion.String(x.service.revision),
		telemetry.PromptName.String(x.service.name),
		telemetry.PromptVersion.String(x.service.revision),
		telemetry.TurnID.String(x.tenure.turnID),
	}
}

// describeAnswer says what came of a call.
func describeAnswer(span trace.Span, answer *answer, class string, first time.Duration) {
	if first > 0 {
		span.SetAttributes(telemetry.TimeToFirstChunk.Float64(first.Seconds()))
	}

	if class != "" {
		telemetry.Failed(span, class)
	}

	if answer == nil {
		return
	}

	span.SetAttributes(
		telemetry.ProviderName.String(answer.provider),
		telemetry.ResponseModel.String(answer.model),
		telemetry.FinishReasons.StringSlice([]string{answer.finish}),
		telemetry.InputTokens.Int64(answer.usage.GetInputTokens()),
		telemetry.OutputTokens.Int64(answer.usage.GetOutputTokens()),
		telemetry.CacheReadTokens.Int64(answer.usage.GetCachedInputTokens()),
		telemetry.Simulated.Bool(answer.simulated),
	)

	if answer.usage.CostMicros != nil {
		span.SetAttributes(telemetry.CostUSD.Float64(float64(answer.usage.GetCostMicros()) / 1e6))
	}
}
