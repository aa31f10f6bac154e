package agent

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/serinhq/serin/internal/telemetry"
)

// chat asks the model, and records how that went: one span and one entry in the metrics for a call of the log, however
// often it had to be sent.
func (x *execution) chat(next callModel, show func(string)) (*answer, error) {
	request := x.request(next)
	ctx, span := x.service.config.Telemetry.Tracer.Start(x.work, telemetry.OperationChat+" "+x.rules.model,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(x.asked(next)...))

	defer span.End()

	watch := &stopwatch{began: time.Now()}
	answer, err := x.ask(ctx, request, func(text string) {
		if watch.chunk(text) {
			x.firstToken(ctx)
		}

		show(text)
	})

	x.service.metrics.inference.record(ctx, inferenceCall{
		model: x.rules.model, answer: answer, class: classOf(err), took: time.Since(watch.began), first: watch.first,
	})
	describeAnswer(span, answer, classOf(err), watch.first)

	if x.service.config.Telemetry.Content {
		discloseChat(span, request, answer)
	}

	return answer, err
}

// firstToken records how long the user waited for the turn's first words.
func (x *execution) firstToken(ctx context.Context) {
	if x.state.turn.accepted.IsZero() {
		return
	}

	for _, said := range x.state.history[x.state.turn.user:] {
		if said.Agent != "" && said.Text != "" {
			return
		}
	}

	x.service.metrics.firstToken(ctx, x.state.turn.accepted)
}

// asked is what is known of a call before it is made.
func (x *execution) asked(next callModel) []attribute.KeyValue {
	return []attribute.KeyValue{
		telemetry.OperationName.String(telemetry.OperationChat),
		telemetry.RequestModel.String(x.rules.model),
		telemetry.RequestMaxTokens.Int64(x.rules.maxOutput),
		telemetry.RequestStream.Bool(true),
		telemetry.ConversationID.String(x.tenure.conversation),
		telemetry.AgentName.String(x.service.name),
		telemetry.AgentVersion.String(x.service.revision),
		telemetry.PromptName.String(x.service.name),
		telemetry.PromptVersion.String(x.service.revision),
		telemetry.TurnID.String(x.tenure.turnID),
		telemetry.SegmentStep.Int(int(next.step)),
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

// stopwatch notices the first chunk of a stream, and its first text.
type stopwatch struct {
	began  time.Time
	first  time.Duration
	worded bool
}

// chunk takes a chunk's text and reports whether it is the stream's first one.
func (w *stopwatch) chunk(text string) bool {
	if w.first == 0 {
		w.first = time.Since(w.began)
	}

	if w.worded || text == "" {
		return false
	}

	w.worded = true

	return true
}
