package app_test

import (
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/app"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
	"github.com/serinhq/serin/mesh/controller"
	"github.com/serinhq/serin/services/agent"
	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/tools"
)

// Every method that the rooms register is in their policies, and refuses a stranger.
func TestEveryMethodIsDeniedByDefault(t *testing.T) {
	toolbox, err := tools.New(tools.Config{Context: contextv1.NewContextServiceClient(nil)})
	if err != nil {
		t.Fatal(err)
	}

	for _, room := range []struct {
		name     string
		policy   rpc.Policy
		register func(grpc.ServiceRegistrar)
	}{
		{rpc.Context, contextstore.Policy(), func(to grpc.ServiceRegistrar) {
			contextv1.RegisterContextServiceServer(to, contextv1.UnimplementedContextServiceServer{})
		}},
		{rpc.Tools, toolbox.Policy(), func(to grpc.ServiceRegistrar) {
			toolsv1.RegisterToolExecuteServiceServer(to, toolsv1.UnimplementedToolExecuteServiceServer{})
		}},
		{rpc.Controller, controller.Policy(), func(to grpc.ServiceRegistrar) {
			rolloutv1.RegisterRolloutServiceServer(to, rolloutv1.UnimplementedRolloutServiceServer{})
		}},
		{rpc.Supervisor, app.WorkloadPolicy(), func(to grpc.ServiceRegistrar) {
			workloadv1.RegisterWorkloadServiceServer(to, workloadv1.UnimplementedWorkloadServiceServer{})
		}},
		{rpc.Mesh, app.MeshPolicy(), func(to grpc.ServiceRegistrar) {
			discoveryv3.RegisterAggregatedDiscoveryServiceServer(to, discoveryv3.UnimplementedAggregatedDiscoveryServiceServer{})
		}},
		{"billing", agent.Policy([]string{"triage"}), func(to grpc.ServiceRegistrar) {
			handoffv1.RegisterHandoffServiceServer(to, handoffv1.UnimplementedHandoffServiceServer{})
		}},
	} {
		t.Run(room.name, func(t *testing.T) {
			rig := rpctest.Start(t, room.name, room.policy, room.register)
			rpctest.WalkMethods(t, rig.Server, rig.Dial, room.policy)
		})
	}

	if err := toolbox.Close(); err != nil {
		t.Error(err)
	}
}
