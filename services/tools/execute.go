package tools

import (
	"context"

	"google.golang.org/grpc"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
)

// Execute runs a call, or joins the run of the same call, and reports until its result is there.
func (s *Service) Execute(request *toolsv1.ExecuteRequest, stream grpc.ServerStreamingServer[toolsv1.ExecuteResponse]) error {
	run, err := s.admit(stream.Context(), request)
	if err != nil {
		return err
	}
	defer s.runs.leave(run)

	result, err := run.watch(stream.Context(), func(progress *eventv1.ToolProgress) error {
		return stream.Send(&toolsv1.ExecuteResponse{Report: &toolsv1.ExecuteResponse_Progress{Progress: progress}})
	})
	if err != nil {
		return err
	}

	return stream.Send(&toolsv1.ExecuteResponse{Report: &toolsv1.ExecuteResponse_Result{Result: result}})
}

// admit checks that the caller may use the tool, and joins or starts the call's run.
func (s *Service) admit(ctx context.Context, request *toolsv1.ExecuteRequest) (*run, error) {
	agent, granted, err := s.grants.Load().of(ctx)
	if err != nil {
		return nil, err
	}

	name := request.GetCall().GetTool()

	allowed, approval := allows(granted, name)
	if !allowed {
		return nil, notAllowed(agent, name)
	}

	tool, err := s.catalog.find(ctx, name)
	if err != nil {
		return nil, err
	}

	leave, err := s.gate.Enter()
	if err != nil {
		return nil, err
	}

	// The run keeps the request's trace, and neither its cancellation nor its deadline.
	detached, stop := context.WithCancel(context.WithoutCancel(ctx))
	release := context.AfterFunc(s.base, stop) //nolint:contextcheck // what ends a run is the service, not the request
	end := func() { release(); stop(); leave() }

	needsApproval := approval || request.GetNeedsApproval() || tool.about.GetNeedsApproval()

	joined, fresh, err := s.runs.join(newRun(detached, request, agent, tool, needsApproval))
	if !fresh {
		end()

		return joined, err
	}

	go func() {
		defer end()
		s.perform(detached, joined)
	}()

	return joined, nil
}
