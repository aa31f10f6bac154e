package tools

import (
	"context"
	"fmt"
	"os"
	"testing"

	"google.golang.org/grpc"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/rpc"
)

// BenchmarkExecute is what the service adds to a call: without the network and with a store in memory.
func BenchmarkExecute(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}

	service, err := New(Config{
		Context: newMemoryStore(), SelfPath: self,
		Servers: []agentspec.MCPServer{{
			Metadata: agentspec.Metadata{Name: "puppet"},
			Spec:     agentspec.MCPServerSpec{Command: []string{"serin"}, Env: map[string]string{puppetVariable: "tame"}},
		}},
		Grants: map[string][]agentspec.Tool{"billing": {{Name: "calculator"}, {Name: "puppet_*"}}},
	})
	if err != nil {
		b.Fatal(err)
	}

	ctx, cancel := context.WithCancel(rpc.ContextWithPeer(context.Background(), rpc.Identity{Name: "billing"}))
	ended := make(chan error, 1)

	go func() { ended <- service.Run(ctx) }()

	defer func() {
		cancel()

		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()

	for name, call := range map[string]*eventv1.ToolCall{
		"builtin": {Tool: "calculator", Arguments: `{"expression":"19.99*3"}`},
		"mcp":     {Tool: "puppet_echo", Arguments: `{"text":"hello"}`},
	} {
		b.Run(name, func(b *testing.B) {
			for i := range b.N {
				sink := &resultSink{ctx: ctx}
				request := &toolsv1.ExecuteRequest{ConversationId: "c1", TurnId: "t1", Epoch: 1, Call: &eventv1.ToolCall{
					CallId: fmt.Sprintf("%s-%d-%d", name, b.N, i), Tool: call.GetTool(), Arguments: call.GetArguments(),
				}}

				if err := service.Execute(request, sink); err != nil || sink.result.GetOutcome() != ok {
					b.Fatal(err, sink.result)
				}
			}
		})
	}
}

// resultSink keeps the last report.
type resultSink struct {
	grpc.ServerStreamingServer[toolsv1.ExecuteResponse]

	ctx    context.Context
	result *eventv1.ToolResult
}

func (s *resultSink) Context() context.Context { return s.ctx }

func (s *resultSink) Send(report *toolsv1.ExecuteResponse) error {
	s.result = report.GetResult()

	return nil
}
