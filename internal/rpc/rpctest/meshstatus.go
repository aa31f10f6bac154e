package rpctest

import (
	"context"
	"fmt"
	"testing"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"google.golang.org/grpc"
)

// CheckMesh asks a server of the mesh what its process has of it (CSDS), over a connection under the identity of the
// supervisor or the operator. The process must have something and must not have refused anything.
func CheckMesh(tb testing.TB, connection grpc.ClientConnInterface) {
	tb.Helper()

	if err := AskMesh(tb.Context(), connection); err != nil {
		tb.Error(err)
	}
}

// AskMesh is [CheckMesh] for servers that may be about to leave: it returns what is wrong.
func AskMesh(ctx context.Context, connection grpc.ClientConnInterface) error {
	answer, err := statusv3.NewClientStatusDiscoveryServiceClient(connection).
		FetchClientStatus(ctx, &statusv3.ClientStatusRequest{})
	if err != nil {
		return fmt.Errorf("asking what a process has of the mesh: %w", err)
	}

	taken, refused := MeshStatus(answer)
	if taken == 0 || len(refused) > 0 {
		return fmt.Errorf("a process has %d resources of the mesh, and refused %v", taken, refused)
	}

	return nil
}

// MeshStatus returns how many resources a process has as they are, and which it refused and why.
func MeshStatus(answer *statusv3.ClientStatusResponse) (taken int, refused []string) {
	for _, config := range answer.GetConfig() {
		for _, resource := range config.GetGenericXdsConfigs() {
			switch resource.GetClientStatus() { //nolint:exhaustive // the others are not there yet, or not any more
			case adminv3.ClientResourceStatus_ACKED:
				taken++
			case adminv3.ClientResourceStatus_NACKED:
				refused = append(refused, fmt.Sprintf("%s %s: %s",
					resource.GetTypeUrl(), resource.GetName(), resource.GetErrorState().GetDetails()))
			}
		}
	}

	return taken, refused
}
