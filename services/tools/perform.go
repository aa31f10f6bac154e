package tools

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/telemetry"
)

// perform takes a run to its end, whatever happens on the way.
func (s *Service) perform(ctx context.Context, r *run) {
	ctx, span := s.beginSpan(ctx, r)

	result, err := s.guarded(ctx, r)
	s.endSpan(span, r, result, err)
	s.log(ctx, r, result, err)
	s.runs.finish(r, result, err)
}

// guarded turns a panic into what is safe to say: nobody knows how far the call got.
func (s *Service) guarded(ctx context.Context, r *run) (result *eventv1.ToolResult, err error) {
	defer func() {
		if value := recover(); value != nil {
			s.config.Telemetry.Logger.ErrorContext(ctx, "a tool call panicked", "call_id", r.callID(), "panic", fmt.Sprint(value),
				"stack", string(debug.Stack()))

			r.unsettled = true
			result, err = r.unknown("the tool service failed while the call ran"), nil
		}
	}()

	return s.advance(ctx, r)
}

// advance waits for a slot, claims the call, and then does what the store decides.
func (s *Service) advance(ctx context.Context, r *run) (*eventv1.ToolResult, error) {
	for {
		claim, release, err := s.attempt(ctx, r)
		if err != nil {
			return nil, err
		}

		switch claim.GetStatus() {
		case contextv1.ClaimCallResponse_STATUS_GRANTED:
			defer release()

			return s.carryOut(ctx, r)
		case contextv1.ClaimCallResponse_STATUS_COMPLETED:
			release()

			return claim.GetResult(), nil
		case contextv1.ClaimCallResponse_STATUS_OUTCOME_UNKNOWN:
			release()

			return r.unknown("the process that ran it was lost before it told"), nil
		case contextv1.ClaimCallResponse_STATUS_IN_PROGRESS:
			release()
			s.runs.pause(r)

			if err := r.sleep(waitForOther(claim.GetExpiresAt().AsTime(), time.Now(), s.config.ClaimTTL)); err != nil {
				return nil, err
			}
		case contextv1.ClaimCallResponse_STATUS_UNSPECIFIED:
			fallthrough
		default:
			release()

			return nil, fault.New(codes.Internal, "CLAIM_UNDECIDED", "the context store decided %s about call %s", claim.GetStatus(), r.callID())
		}
	}
}

// attempt asks the store once whether the call may run, with a slot of the tool in hand.
func (s *Service) attempt(ctx context.Context, r *run) (*contextv1.ClaimCallResponse, func(), error) {
	//nolint:contextcheck // waiting ends with those who wait; the run goes on
	if err := r.tool.backend.ready(r.waiting); err != nil {
		return nil, nil, err
	}

	release, err := r.tool.slots.acquire(r.waiting, r.toolName(), s.config.QueueWait) //nolint:contextcheck // as above
	if err != nil {
		return nil, nil, err
	}

	if !s.runs.begin(r) {
		release()

		return nil, nil, errAbandoned()
	}

	claim, err := s.claim(ctx, r)
	if err != nil {
		release()

		return nil, nil, err
	}

	return claim, release, nil
}

// carryOut does a granted call and records what it came to. From here on the effect may exist.
func (s *Service) carryOut(ctx context.Context, r *run) (*eventv1.ToolResult, error) {
	stopRenewing := s.keepClaim(ctx, r)
	defer stopRenewing()

	started := time.Now()
	outcome := s.try(ctx, r)
	took := time.Since(started)

	if outcome.err != nil {
		return nil, outcome.err
	}

	s.metrics.record(ctx, r, outcome.outcome, took)

	if outcome.outcome == eventv1.ToolResult_OUTCOME_UNKNOWN {
		stopRenewing()

		return s.settle(ctx, r, outcome.output)
	}

	result := &eventv1.ToolResult{
		CallId: r.callID(), Tool: r.toolName(), Outcome: outcome.outcome, Output: outcome.output,
		Duration: durationpb.New(took),
	}

	err := s.complete(ctx, r, result)
	if err == nil {
		return result, nil
	}

	if r.tool.about.GetIdempotent() { // it may run again, elsewhere too
		return nil, fault.New(codes.Unavailable, "CALL_NOT_RECORDED", "the result of call %s could not be recorded: %w", r.callID(), err)
	}

	stopRenewing()

	return s.settle(ctx, r, "it ran, but its result could not be recorded: "+clip(err.Error(), maxProblem))
}

// try runs the tool, unless its arguments are not valid. An idempotent call whose server ended is sent again.
func (s *Service) try(ctx context.Context, r *run) verdict {
	arguments, err := checkArguments(r.tool.input, r.request.GetCall().GetArguments())
	if err != nil {
		return failed(err.Error() + ". The tool did not run; call it again with valid arguments.")
	}

	ctx, cancel := context.WithTimeoutCause(ctx, r.tool.timeout, errTimedOut)
	defer cancel()

	call := invocation{
		tool: r.tool.remote, callID: r.callID(), arguments: arguments, progress: r.report,
		idempotent: r.tool.about.GetIdempotent(), maxOutput: r.tool.maxOutput,
	}

	if r.tool.traced {
		call.trace = telemetry.Traceparent(ctx)
	}

	for attempts := 1; ; attempts++ {
		answer, err := r.tool.backend.call(ctx, call)
		if err == nil {
			return r.tool.judge(answer)
		}

		// A pause lets whatever was in the way pass.
		if !r.tool.mayRepeat(attempts, err) || !pauseFor(ctx, jitter(s.config.MinBackoff<<(attempts-1))) {
			return r.tool.explain(err, context.Cause(ctx))
		}
	}
}

func (s *Service) log(ctx context.Context, r *run, result *eventv1.ToolResult, err error) {
	attributes := []slog.Attr{
		slog.String("conversation_id", r.request.GetConversationId()), slog.String("turn_id", r.request.GetTurnId()),
		slog.String("call_id", r.callID()), slog.String("tool", r.toolName()), slog.String("agent", r.agent),
	}

	if err != nil {
		attributes = append(attributes, slog.String("error", err.Error()))
		s.config.Telemetry.Logger.LogAttrs(ctx, slog.LevelWarn, "tool call did not run to a result", attributes...)

		return
	}

	attributes = append(attributes, slog.String("outcome", outcomeLabel(result.GetOutcome())),
		slog.Duration("took", result.GetDuration().AsDuration()))
	s.config.Telemetry.Logger.LogAttrs(ctx, slog.LevelInfo, "tool call", attributes...)
}

// sleep waits as long as somebody waits for the call.
func (r *run) sleep(wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()

	select {
	case <-timer.C:
		return nil
	case <-r.waiting.Done():
		return errAbandoned()
	}
}

func errAbandoned() error {
	return fault.New(codes.Unavailable, "CALL_ABANDONED", "nobody waits for the call any more; ask again")
}
