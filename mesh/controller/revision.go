package controller

import (
	"context"

	"google.golang.org/grpc/codes"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
)

// GetRevision returns the content of one revision.
func (s *Service) GetRevision(
	ctx context.Context, request *rolloutv1.GetRevisionRequest,
) (*rolloutv1.GetRevisionResponse, error) {
	agent, err := s.agent(ctx, request.GetAgent())
	if err != nil {
		return nil, err
	}

	name, err := agent.nameOf(request.GetRevision())
	if err != nil {
		return nil, err
	}

	found, err := s.config.Store.GetRevision(ctx, agent.name, name)
	if err != nil {
		return nil, fault.From(err)
	}

	return &rolloutv1.GetRevisionResponse{Agent: agent.name, Revision: found.Name, Declaration: found.Declaration}, nil
}

// nameOf returns which revision is stable, or the candidate; a name stays what it is.
func (a *agent) nameOf(name string) (string, error) {
	state := a.current().State

	switch name {
	case "stable":
		name = state.Stable
	case "candidate":
		name = state.Candidate
	}

	if name == "" {
		return "", fault.New(codes.NotFound, "REVISION_UNKNOWN",
			"agent %s has no candidate now: see `serin canary status %s` for the revisions that it has", a.name, a.name)
	}

	return name, nil
}
