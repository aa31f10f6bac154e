package agent

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/telemetry"
)

// beginSegment begins the span of a segment, in the trace of its turn, whoever had this process go on with it.
func (s *Service) beginSegment(ctx context.Context, t *tenure) (context.Context, trace.Span) {
	turn := t.lease.GetTurn()

	return s.config.Telemetry.Tracer.Start(telemetry.Rejoin(ctx, turn.GetTraceparent()), //nolint:spancheck // endSegment ends it
		telemetry.OperationInvokeAgent+" "+s.name, trace.WithAttributes(
			telemetry.OperationName.String(telemetry.OperationInvokeAgent),
			telemetry.AgentName.String(s.name),
			telemetry.AgentVersion.String(s.revision),
			telemetry.ConversationID.String(t.conversation),
			telemetry.RequestModel.String(s.rules.model),
			telemetry.TurnID.String(t.turnID),
			telemetry.Segment.Int(int(turn.GetSegment())),
			telemetry.SegmentEpoch.Int64(turn.GetEpoch()),
		))
}

// endSegment ends it. A turn that failed has told why before.
func endSegment(span trace.Span, outcome handoffv1.Finished_Outcome) {
	span.SetAttributes(telemetry.TurnOutcome.String(segmentLabel(outcome)))
	span.End()
}

// segmentLabel is how a segment ended, and with it maybe its turn, in traces and metrics.
func segmentLabel(outcome handoffv1.Finished_Outcome) string {
	switch outcome {
	case handoffv1.Finished_OUTCOME_COMPLETED:
		return "completed"
	case handoffv1.Finished_OUTCOME_HANDED_OFF:
		return "handed_off"
	case handoffv1.Finished_OUTCOME_INPUT_REQUIRED:
		return "input_required"
	case handoffv1.Finished_OUTCOME_CANCELLED:
		return "cancelled"
	case handoffv1.Finished_OUTCOME_SUPERSEDED:
		return "superseded"
	case handoffv1.Finished_OUTCOME_FAILED, handoffv1.Finished_OUTCOME_UNSPECIFIED:
		return "failed"
	default:
		return "failed"
	}
}

// beginHandoff begins the span of control passing on: until the next agent has it.
func (s *Service) beginHandoff(ctx context.Context, t *tenure) (context.Context, trace.Span) {
	return s.config.Telemetry.Tracer.Start(ctx, telemetry.OperationHandoff+" "+t.next, trace.WithAttributes( //nolint:spancheck // pass ends it
		telemetry.OperationName.String(telemetry.OperationHandoff),
		telemetry.ConversationID.String(t.conversation),
		telemetry.TurnID.String(t.turnID),
		telemetry.HandoffFrom.String(s.name),
		telemetry.HandoffTo.String(t.next),
	))
}
