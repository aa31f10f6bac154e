package controller

import (
	"context"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/mesh/canary"
)

// act has a command decided, waits for it to be carried out if it should be, and returns the rollout after it.
func (s *Service) act(ctx context.Context, name string, wanted *change) (*rolloutv1.Rollout, error) {
	agent, err := s.agent(ctx, name)
	if err != nil {
		return nil, err
	}

	wanted.actor = actorOf(ctx)
	if err := agent.do(ctx, wanted); err != nil {
		return nil, err
	}

	switch wanted.command.Kind {
	case canary.SetWeight, canary.Promote, canary.Abort, canary.Undo:
		agent.carriedOut(ctx)
	case canary.Declare, canary.Start, canary.Supersede, canary.Pause, canary.Resume, canary.Retry:
	}

	return s.view(agent), nil
}

// carriedOut waits until the mesh and the store have what was decided, but not for ever: the rollout says what it waits
// for.
func (a *agent) carriedOut(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, a.config.CarriedOut)
	defer cancel()

	decided := a.current().State.Seq

	for {
		changed := a.changed.next()

		observed := a.mesh.look().progress.Observed
		if observed != nil && observed.Seq >= decided && len(a.current().State.Withdrawals) == 0 {
			return
		}

		if !pause(ctx, changed, 0) {
			return
		}
	}
}

// SetWeight gives the candidate a share of new conversations by hand.
func (s *Service) SetWeight(
	ctx context.Context, request *rolloutv1.SetWeightRequest,
) (*rolloutv1.SetWeightResponse, error) {
	rollout, err := s.act(ctx, request.GetAgent(), &change{
		command: &canary.Command{Kind: canary.SetWeight, Weight: int(request.GetWeight())},
	})
	if err != nil {
		return nil, err
	}

	return &rolloutv1.SetWeightResponse{Rollout: rollout}, nil
}

// PauseRollout holds the rollout at its weight.
func (s *Service) PauseRollout(
	ctx context.Context, request *rolloutv1.PauseRolloutRequest,
) (*rolloutv1.PauseRolloutResponse, error) {
	rollout, err := s.act(ctx, request.GetAgent(), &change{command: &canary.Command{Kind: canary.Pause}})
	if err != nil {
		return nil, err
	}

	return &rolloutv1.PauseRolloutResponse{Rollout: rollout}, nil
}

// ResumeRollout goes on with a paused rollout.
func (s *Service) ResumeRollout(
	ctx context.Context, request *rolloutv1.ResumeRolloutRequest,
) (*rolloutv1.ResumeRolloutResponse, error) {
	rollout, err := s.act(ctx, request.GetAgent(), &change{command: &canary.Command{Kind: canary.Resume}})
	if err != nil {
		return nil, err
	}

	return &rolloutv1.ResumeRolloutResponse{Rollout: rollout}, nil
}

// PromoteRollout goes on to the next step, or makes the candidate stable.
func (s *Service) PromoteRollout(
	ctx context.Context, request *rolloutv1.PromoteRolloutRequest,
) (*rolloutv1.PromoteRolloutResponse, error) {
	rollout, err := s.act(ctx, request.GetAgent(), &change{
		command: &canary.Command{Kind: canary.Promote, Full: request.GetFull()},
	})
	if err != nil {
		return nil, err
	}

	return &rolloutv1.PromoteRolloutResponse{Rollout: rollout}, nil
}

// AbortRollout gives everything back to the stable revision.
func (s *Service) AbortRollout(
	ctx context.Context, request *rolloutv1.AbortRolloutRequest,
) (*rolloutv1.AbortRolloutResponse, error) {
	rollout, err := s.act(ctx, request.GetAgent(), &change{
		command: &canary.Command{Kind: canary.Abort, Fence: request.GetFence(), Reason: request.GetReason()},
	})
	if err != nil {
		return nil, err
	}

	return &rolloutv1.AbortRolloutResponse{Rollout: rollout}, nil
}

// UndoRollout takes a promotion back.
func (s *Service) UndoRollout(
	ctx context.Context, request *rolloutv1.UndoRolloutRequest,
) (*rolloutv1.UndoRolloutResponse, error) {
	rollout, err := s.act(ctx, request.GetAgent(), &change{command: &canary.Command{Kind: canary.Undo}})
	if err != nil {
		return nil, err
	}

	return &rolloutv1.UndoRolloutResponse{Rollout: rollout}, nil
}

// RetryRollout starts a rejected revision again.
func (s *Service) RetryRollout(
	ctx context.Context, request *rolloutv1.RetryRolloutRequest,
) (*rolloutv1.RetryRolloutResponse, error) {
	rollout, err := s.act(ctx, request.GetAgent(), &change{command: &canary.Command{Kind: canary.Retry}})
	if err != nil {
		return nil, err
	}

	return &rolloutv1.RetryRolloutResponse{Rollout: rollout}, nil
}
