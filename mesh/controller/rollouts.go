package controller

import (
	"context"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
)

// watchEvery is how often a watch looks for what changed.
const watchEvery = 250 * time.Millisecond

// ListRollouts returns every agent's rollout, by name.
func (s *Service) ListRollouts(
	ctx context.Context, _ *rolloutv1.ListRolloutsRequest,
) (*rolloutv1.ListRolloutsResponse, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}

	problems, _ := s.follower.lines()

	return &rolloutv1.ListRolloutsResponse{Rollouts: s.views(""), Problems: problems}, nil
}

// GetRollout returns one agent's rollout.
func (s *Service) GetRollout(
	ctx context.Context, request *rolloutv1.GetRolloutRequest,
) (*rolloutv1.GetRolloutResponse, error) {
	agent, err := s.agent(ctx, request.GetAgent())
	if err != nil {
		return nil, err
	}

	return &rolloutv1.GetRolloutResponse{Rollout: s.view(agent)}, nil
}

// WatchRollouts sends all rollouts and then those that change. A watch of one agent ends with the agent.
func (s *Service) WatchRollouts(
	request *rolloutv1.WatchRolloutsRequest, stream grpc.ServerStreamingServer[rolloutv1.WatchRolloutsResponse],
) error {
	return s.Follow(stream.Context(), request.GetAgent(), stream.Send)
}

// Follow sends what WatchRollouts would, within the process: of one agent, or of all if the name is empty.
func (s *Service) Follow(ctx context.Context, agent string, send func(*rolloutv1.WatchRolloutsResponse) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}

	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()

	for sent := (*rolloutv1.WatchRolloutsResponse)(nil); ; {
		if err := s.watchable(agent); err != nil {
			return err
		}

		problems, _ := s.follower.lines()
		now := &rolloutv1.WatchRolloutsResponse{Rollouts: s.views(agent), Problems: problems}

		if news := newsOf(sent, now); news != nil {
			if err := send(news); err != nil {
				return err
			}
		}

		sent = now

		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.drained:
			return goingAway()
		case <-ticker.C:
		}
	}
}

// watchable refuses to watch an agent that is not there. Errors: NOT_FOUND (AGENT_UNKNOWN).
func (s *Service) watchable(name string) error {
	if name == "" {
		return nil
	}

	_, err := s.agents.get(name)

	return err
}

// newsOf is what of the rollouts is not as it was sent; nil if all is.
func newsOf(sent, now *rolloutv1.WatchRolloutsResponse) *rolloutv1.WatchRolloutsResponse {
	if sent == nil {
		return now
	}

	gone := map[string]*rolloutv1.Rollout{}
	for _, rollout := range sent.GetRollouts() {
		gone[rollout.GetAgent()] = rollout
	}

	news := &rolloutv1.WatchRolloutsResponse{Problems: now.GetProblems()}

	for _, rollout := range now.GetRollouts() {
		if !proto.Equal(gone[rollout.GetAgent()], rollout) {
			news.Rollouts = append(news.Rollouts, rollout)
		}

		delete(gone, rollout.GetAgent())
	}

	news.Gone = slices.Sorted(maps.Keys(gone))

	if len(news.GetRollouts())+len(news.GetGone()) == 0 && slices.Equal(sent.GetProblems(), now.GetProblems()) {
		return nil
	}

	return news
}

// agent returns an agent by name. Errors: NOT_FOUND (AGENT_UNKNOWN).
func (s *Service) agent(ctx context.Context, name string) (*agent, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}

	return s.agents.get(name)
}

// views returns the rollouts of all agents, or of one.
func (s *Service) views(only string) []*rolloutv1.Rollout {
	views := []*rolloutv1.Rollout{}

	for _, agent := range s.agents.all() {
		if only == "" || only == agent.name {
			views = append(views, s.view(agent))
		}
	}

	return views
}

// view adds what is wrong with the agent's file.
func (s *Service) view(agent *agent) *rolloutv1.Rollout {
	view := agent.view()
	view.Problems = append(view.Problems, s.follower.about(agent.name)...)

	return view
}
