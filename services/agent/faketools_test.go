package agent

import (
	"cmp"
	"context"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/fault"
)

// fakeTools runs tools as ToolExecuteService does: it claims, takes effect, and completes, once per call id.
type fakeTools struct {
	store *fakeStore
	tools []*toolsv1.Tool

	mu      sync.Mutex
	holder  string
	effects map[string]int
	started []string
	// arguments are those of the calls that took effect; outputs is what tools answer, if not that they are done.
	arguments []string
	outputs   map[string]string
	// wait holds calls of a tool back until the channel is closed; lose claims them and then forgets the result.
	wait map[string]chan struct{}
	lose map[string]bool
	busy int
	// forget has the process that follows a lost one not know the tool.
	forget, forgotten bool
}

func newFakeTools(store *fakeStore, tools ...*toolsv1.Tool) *fakeTools {
	return &fakeTools{
		store: store, tools: tools, holder: "tools-1", effects: map[string]int{},
		wait: map[string]chan struct{}{}, lose: map[string]bool{},
	}
}

func (f *fakeTools) ListTools(
	_ context.Context, request *toolsv1.ListToolsRequest, _ ...grpc.CallOption,
) (*toolsv1.ListToolsResponse, error) {
	answer := &toolsv1.ListToolsResponse{}

	for _, tool := range f.tools {
		if len(request.GetNames()) == 0 {
			answer.Tools = append(answer.Tools, tool)
		}

		for _, name := range request.GetNames() {
			if tool.GetName() == name {
				answer.Tools = append(answer.Tools, tool)
			}
		}
	}

	return answer, nil
}

func (f *fakeTools) Execute(
	ctx context.Context, request *toolsv1.ExecuteRequest, _ ...grpc.CallOption,
) (grpc.ServerStreamingClient[toolsv1.ExecuteResponse], error) {
	result, err := f.execute(ctx, request)

	return &oneResult{result: result, err: err}, nil
}

func (f *fakeTools) execute(ctx context.Context, request *toolsv1.ExecuteRequest) (*eventv1.ToolResult, error) {
	call := request.GetCall()

	f.mu.Lock()
	holder, wait, lose := f.holder, f.wait[call.GetTool()], f.lose[call.GetTool()]
	f.started = append(f.started, call.GetTool())
	busy := f.busy > 0
	f.busy--
	forgotten := f.forgotten
	f.mu.Unlock()

	if forgotten {
		return nil, fault.New(codes.NotFound, "TOOL_UNKNOWN", "there is no such tool")
	}

	if busy {
		return nil, fault.New(codes.ResourceExhausted, "TOOL_BUSY", "busy").After(5 * time.Millisecond)
	}

	approval := request.GetNeedsApproval()
	for _, tool := range f.tools {
		approval = approval || tool.GetName() == call.GetTool() && tool.GetNeedsApproval()
	}

	claim, err := f.store.claim(request.GetEpoch(), call.GetCallId(), holder, approval)
	if err != nil {
		return nil, err
	}

	switch claim.GetStatus() {
	case contextv1.ClaimCallResponse_STATUS_COMPLETED:
		return claim.GetResult(), nil
	case contextv1.ClaimCallResponse_STATUS_OUTCOME_UNKNOWN:
		return &eventv1.ToolResult{CallId: call.GetCallId(), Outcome: eventv1.ToolResult_OUTCOME_UNKNOWN}, nil
	}

	f.mu.Lock()
	f.effects[call.GetCallId()]++
	f.arguments = append(f.arguments, call.GetArguments())
	output := cmp.Or(f.outputs[call.GetTool()], call.GetTool()+" done")
	f.mu.Unlock()

	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fault.From(ctx.Err())
		}
	}

	if lose { // the process died with the claim, and another takes over
		f.mu.Lock()
		f.holder += "x"
		f.forgotten = f.forget
		f.mu.Unlock()

		return nil, fault.New(codes.Unavailable, "GONE", "tools died")
	}

	result := &eventv1.ToolResult{
		CallId: call.GetCallId(), Tool: call.GetTool(), Outcome: eventv1.ToolResult_OUTCOME_OK, Output: output,
	}
	f.store.complete(result)

	return result, nil
}

// oneResult is a stream of one report.
type oneResult struct {
	grpc.ClientStream

	result *eventv1.ToolResult
	err    error
}

func (o *oneResult) Recv() (*toolsv1.ExecuteResponse, error) {
	if o.err != nil {
		return nil, o.err
	}

	if o.result == nil {
		return nil, io.EOF
	}

	result := o.result
	o.result = nil

	return &toolsv1.ExecuteResponse{Report: &toolsv1.ExecuteResponse_Result{Result: result}}, nil
}
