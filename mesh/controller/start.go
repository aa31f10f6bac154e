package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/canary"
)

// StartRollout makes a new revision the candidate.
func (s *Service) StartRollout(
	ctx context.Context, request *rolloutv1.StartRolloutRequest,
) (*rolloutv1.StartRolloutResponse, error) {
	if _, err := s.agent(ctx, request.GetAgent()); err != nil {
		return nil, err
	}

	declared, err := s.started(request)
	if err != nil {
		return nil, err
	}

	content, err := contentOf(declared)
	if err != nil {
		return nil, err
	}

	rollout, err := s.act(ctx, request.GetAgent(), &change{
		content: &content,
		command: &canary.Command{
			Kind: canary.Start, Revision: agentspec.Short(content.Name),
			Plan: override(planOf(&declared), request.GetPlan()),
		},
	})
	if err != nil {
		return nil, err
	}

	return &rolloutv1.StartRolloutResponse{Rollout: rollout}, nil
}

// started reads the declaration of a request. It must be valid, of the agent, and fit to what else is declared.
func (s *Service) started(request *rolloutv1.StartRolloutRequest) (agentspec.Agent, error) {
	declared, err := agentspec.UnmarshalResolved([]byte(request.GetDeclaration()))
	if problems, ok := errors.AsType[agentspec.Problems](err); ok {
		return declared, invalid(problems)
	}

	if err != nil {
		return declared, fault.Invalid(fault.Violation{Field: "declaration", Message: err.Error()})
	}

	problems := agentspec.Problems{}

	if name := declared.Metadata.Name; name != request.GetAgent() {
		problems = append(problems, agentspec.Problem{
			Field: "metadata.name", Message: fmt.Sprintf("%q is another agent than %q, whose rollout it shall be", name, request.GetAgent()),
		})
	}

	fleet := s.agents.shared.fleet.snapshot()
	problems = append(problems, agentspec.Strangers(&declared, fleet.declared(), fleet.serverNames())...)

	return declared, invalid(problems)
}

// serverNames returns the names of the tool servers.
func (r roster) serverNames() []string {
	names := []string{}

	for _, declaration := range r.servers {
		var server agentspec.MCPServer
		if json.Unmarshal([]byte(declaration), &server) == nil {
			names = append(names, server.Metadata.Name)
		}
	}

	return names
}

// invalid is the fault for a declaration with problems; nil if there are none.
func invalid(problems agentspec.Problems) error {
	if len(problems) == 0 {
		return nil
	}

	violations := make([]fault.Violation, len(problems))

	for i, problem := range problems {
		violations[i] = fault.Violation{Field: "declaration", Message: problem.String()}
	}

	return fault.Invalid(violations...)
}
