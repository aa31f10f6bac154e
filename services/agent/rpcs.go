package agent

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

// Handoff executes the turn's segment, or joins its execution if this process is at it already.
func (s *Service) Handoff(
	request *handoffv1.HandoffRequest, stream grpc.ServerStreamingServer[handoffv1.HandoffResponse],
) error {
	ctx := stream.Context()

	if err := s.authorize(ctx, request); err != nil {
		return err
	}

	if err := stream.SetHeader(metadata.Pairs(rpc.HeaderRevision, s.revision)); err != nil {
		return err
	}

	tenure, err := s.take(ctx, request)
	if err != nil {
		return err
	}

	if err := stream.Send(tenure.accepted()); err != nil {
		return err
	}

	if request.GetStreamEvents() {
		if err := s.relay(ctx, tenure, stream.Send); err != nil {
			return err
		}
	}

	select {
	case <-tenure.done:
		return stream.Send(tenure.finished())
	case <-ctx.Done():
		return fault.From(ctx.Err())
	}
}

// authorize checks what the method table can't: the caller must be who the request says hands over, and mean this agent.
func (s *Service) authorize(ctx context.Context, request *handoffv1.HandoffRequest) error {
	peer, ok := rpc.Peer(ctx)
	if !ok {
		return fault.New(codes.Unauthenticated, "NO_IDENTITY", "agents take handoffs from verified callers only")
	}

	from := request.GetFromAgent()
	if peer.Name == rpc.Gateway && from == "" {
		from = rpc.Gateway
	}

	switch {
	case from != peer.Name || !Policy(s.config.Callers)[handoffv1.HandoffService_Handoff_FullMethodName](peer):
		return fault.New(codes.PermissionDenied, "HANDOFF_NOT_ALLOWED",
			"%s may not hand over to %s as %q: it must be the gateway or an agent that lists %s in its handoffs",
			peer.Name, s.name, request.GetFromAgent(), s.name)
	case request.GetToAgent() != s.name:
		return fault.New(codes.FailedPrecondition, "WRONG_AGENT",
			"to_agent is %q, but this is %q", request.GetToAgent(), s.name).With("agent", s.name)
	default:
		return nil
	}
}

// Describe tells what the agent is.
func (s *Service) Describe(context.Context, *handoffv1.DescribeRequest) (*handoffv1.DescribeResponse, error) {
	spec := s.config.Agent.Spec
	description := &handoffv1.DescribeResponse{
		Agent: s.name, Revision: s.config.Revision, Description: spec.Description, Model: spec.Model.Name,
	}

	for _, tool := range spec.Tools {
		description.Tools = append(description.Tools, tool.Name)
	}

	for _, handoff := range spec.Handoffs {
		description.Handoffs = append(description.Handoffs, handoff.Agent)
	}

	return description, nil
}
