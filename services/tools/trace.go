package tools

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/telemetry"
)

// beginSpan begins the span of a run, in the trace of the request that began it.
func (s *Service) beginSpan(ctx context.Context, r *run) (context.Context, trace.Span) {
	return s.config.Telemetry.Tracer.Start(ctx, telemetry.OperationExecuteTool+" "+r.toolName(), trace.WithAttributes( //nolint:spancheck // endSpan ends it
		telemetry.OperationName.String(telemetry.OperationExecuteTool),
		telemetry.ToolName.String(r.toolName()),
		telemetry.ToolType.String("function"),
		telemetry.ToolCallID.String(r.callID()),
		telemetry.ConversationID.String(r.request.GetConversationId()),
		telemetry.AgentName.String(r.agent),
		telemetry.TurnID.String(r.request.GetTurnId()),
	))
}

// endSpan says what the run came to. Arguments and output are told only where whoever runs the platform asked for it.
func (s *Service) endSpan(span trace.Span, r *run, result *eventv1.ToolResult, err error) {
	defer span.End()

	if s.config.Telemetry.Content {
		span.SetAttributes(telemetry.ToolArguments.String(r.request.GetCall().GetArguments()),
			telemetry.ToolResult.String(result.GetOutput()))
	}

	if err != nil {
		telemetry.Failed(span, fault.From(err).Reason)

		return
	}

	span.SetAttributes(telemetry.ToolOutcome.String(outcomeLabel(result.GetOutcome())))

	if result.GetOutcome() != eventv1.ToolResult_OUTCOME_OK {
		telemetry.Failed(span, outcomeLabel(result.GetOutcome()))
	}
}
