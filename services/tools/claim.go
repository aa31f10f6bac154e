package tools

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// How the store is asked again when it can't be reached.
const (
	storeTimeout  = 5 * time.Second // of one request
	claimLimit    = 30 * time.Second
	firstPause    = 25 * time.Millisecond
	longestPause  = 2 * time.Second
	claimPolls    = 6                     // looks at another process's claim per ttl
	afterExpiry   = 20 * time.Millisecond // clocks differ a little, and an early look is for nothing
	shortestSleep = 10 * time.Millisecond
)

// inquirer is added to the holder's name to ask about a claim of one's own as another would.
const inquirer = "/inquiry"

// claim asks whether the call may run. It does not end with the requests that wait for the call: a claim that was made
// without us knowing would make others wait, and then take the call for lost.
func (s *Service) claim(ctx context.Context, r *run) (*contextv1.ClaimCallResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, claimLimit)
	defer cancel()

	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		decision, err := s.claimOnce(ctx, r, storeTimeout)
		if err == nil {
			return decision, nil
		}

		if !isTransient(err) || !pauseFor(ctx, pause) {
			return nil, fault.From(err)
		}
	}
}

// claimOnce claims a call, or renews the claim that is held.
func (s *Service) claimOnce(ctx context.Context, r *run, timeout time.Duration) (*contextv1.ClaimCallResponse, error) {
	return s.claimAs(ctx, r, s.config.Instance, timeout)
}

func (s *Service) claimAs(
	ctx context.Context, r *run, holder string, timeout time.Duration,
) (*contextv1.ClaimCallResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	return s.config.Context.ClaimCall(ctx, &contextv1.ClaimCallRequest{
		Lease:           &contextv1.LeaseRef{TurnId: r.request.GetTurnId(), Epoch: r.currentEpoch()},
		ConversationId:  r.request.GetConversationId(),
		CallId:          r.callID(),
		Tool:            r.toolName(),
		Agent:           r.agent,
		ArgumentsDigest: r.digest,
		Idempotent:      r.tool.about.GetIdempotent(),
		NeedsApproval:   r.needsApproval,
		Holder:          holder,
		Ttl:             durationpb.New(s.config.ClaimTTL),
	})
}

// keepClaim renews the claim at a third of its ttl until stop is called. What a renewal is answered changes nothing: the
// call runs, and the store decides about its result when it is recorded.
func (s *Service) keepClaim(ctx context.Context, r *run) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})

	go func() {
		defer close(ended)

		interval := s.config.ClaimTTL / 3 //nolint:mnd // the design's third

		for pauseFor(ctx, interval) {
			if _, err := s.claimOnce(ctx, r, interval); err != nil && ctx.Err() == nil {
				s.config.Telemetry.Logger.WarnContext(ctx, "claim was not renewed", "call_id", r.callID(), "error", err.Error())
			}
		}
	}()

	return func() {
		cancel()
		<-ended
	}
}

// settle gives up a call whose outcome is unknown. The claim is no longer renewed; settle waits until the store takes the
// call for lost, as it does when another holder asks after the claim's end. From then on it is never granted again, and a
// human's answer is accepted. While it is not, nobody may be asked: the error of a service that is shutting down has the
// caller ask the next one, which waits for the claim's end in turn.
func (s *Service) settle(ctx context.Context, r *run, why string) (*eventv1.ToolResult, error) {
	limited, cancel := context.WithTimeout(ctx, 2*s.config.ClaimTTL+storeTimeout)
	defer cancel()

	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		answer, err := s.claimAs(limited, r, s.config.Instance+inquirer, storeTimeout)

		switch answer.GetStatus() { //nolint:exhaustive // no other answer makes anything certain
		case contextv1.ClaimCallResponse_STATUS_COMPLETED:
			return answer.GetResult(), nil
		case contextv1.ClaimCallResponse_STATUS_OUTCOME_UNKNOWN:
			return r.unknown(why), nil
		case contextv1.ClaimCallResponse_STATUS_IN_PROGRESS:
			pause = max(shortestSleep, time.Until(answer.GetExpiresAt().AsTime())+afterExpiry)
		}

		if err != nil && !isTransient(err) || !pauseFor(limited, pause) {
			r.unsettled = true

			if ctx.Err() != nil {
				return nil, errDraining()
			}

			return r.unknown(why), nil
		}
	}
}

// complete records a result. It tries at least once, even if the service is shutting down, and goes on until the store
// has answered.
func (s *Service) complete(ctx context.Context, r *run, result *eventv1.ToolResult) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := s.completeOnce(ctx, r, result)
		if err == nil {
			return nil
		}

		if !isTransient(err) || !pauseFor(ctx, pause) {
			return err
		}
	}
}

func (s *Service) completeOnce(ctx context.Context, r *run, result *eventv1.ToolResult) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()

	_, err := s.config.Context.CompleteCall(ctx, &contextv1.CompleteCallRequest{
		ConversationId: r.request.GetConversationId(),
		Holder:         s.config.Instance,
		Result:         result,
	})

	return err
}

// isTransient reports whether asking again may help.
func isTransient(err error) bool {
	return slices.Contains(
		[]codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.ResourceExhausted, codes.Internal, codes.Unknown},
		fault.CodeOf(err))
}

// pauseFor waits; it returns false if the context ended.
func pauseFor(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()

	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// waitForOther is how long to wait before asking again about a call that another process runs: until its claim ends, but
// looking a few times before, since it may be done earlier.
func waitForOther(expires, now time.Time, ttl time.Duration) time.Duration {
	return max(shortestSleep, min(expires.Sub(now)+afterExpiry, ttl/claimPolls))
}
