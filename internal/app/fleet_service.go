package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/supervise"
	"github.com/serinhq/serin/mesh/identity"
)

// workloadServer is the fleet as the controller sees it.
type workloadServer struct {
	workloadv1.UnimplementedWorkloadServiceServer

	fleet *fleet
}

// WorkloadPolicy says who may call the supervisor: the controller alone.
func WorkloadPolicy() rpc.Policy {
	return rpc.Policy{
		workloadv1.WorkloadService_Apply_FullMethodName: rpc.Names(rpc.Controller),
		workloadv1.WorkloadService_Watch_FullMethodName: rpc.Names(rpc.Controller),
	}
}

// Apply takes what shall run.
func (s workloadServer) Apply(_ context.Context, request *workloadv1.ApplyRequest) (*workloadv1.ApplyResponse, error) {
	if err := s.fleet.apply(request); err != nil {
		return nil, err
	}

	return &workloadv1.ApplyResponse{}, nil
}

// Watch tells how the agents' processes are, now and with every change.
func (s workloadServer) Watch(
	_ *workloadv1.WatchRequest, stream grpc.ServerStreamingServer[workloadv1.WatchResponse],
) error {
	for {
		statuses, changed := s.fleet.platform.supervisor.Changed()
		failed, told := s.fleet.failures()

		if err := stream.Send(&workloadv1.WatchResponse{
			Statuses: append(s.fleet.statuses(statuses), failed...), Sizes: s.fleet.sizes(),
		}); err != nil {
			return err
		}

		select {
		case <-stream.Context().Done():
			return nil
		case <-changed:
		case <-told:
		}
	}
}

func (f *fleet) statuses(all []supervise.Status) []*workloadv1.Status {
	running := f.workloads()
	statuses := make([]*workloadv1.Status, 0, len(running))

	for _, status := range all {
		workload := running[status.Name]
		if workload == nil || workload.config.Room != "agent" {
			continue
		}

		statuses = append(statuses, &workloadv1.Status{
			Agent: workload.config.Name, Revision: workload.revision, Ready: status.State == supervise.Ready,
			Since: timestamppb.New(status.Since), Restarts: int32(status.Restarts), //nolint:gosec // no process restarts 2^31 times
			Problem: status.Problem,
		})
	}

	return statuses
}

// sizes are how many processes of each revision there shall be, where it is not one.
func (f *fleet) sizes() []*workloadv1.Size {
	f.mu.Lock()
	defer f.mu.Unlock()

	replicas := f.platform.config.Replicas
	if replicas == 1 {
		return nil
	}

	var sizes []*workloadv1.Size

	for _, agent := range f.declared.agents {
		for _, revision := range agent.revisions {
			sizes = append(sizes, &workloadv1.Size{
				Agent: agent.name, Revision: agentspec.Short(revision.revision), Processes: int32(replicas), //nolint:gosec // at most 9
			})
		}
	}

	return sizes
}

// failures are those that shall run and could not be started, and a channel that is closed when that changes.
func (f *fleet) failures() ([]*workloadv1.Status, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()

	members := f.declared.members(f.platform.config.Replicas)

	var statuses []*workloadv1.Status

	for _, name := range slices.Sorted(maps.Keys(f.failed)) {
		if member, wanted := members[name]; wanted && f.running[name] == nil {
			statuses = append(statuses, &workloadv1.Status{
				Agent: member.agent, Revision: agentspec.Short(member.revision), Problem: f.failed[name],
			})
		}
	}

	return statuses, f.told
}

// serve answers the controller until the context ends.
func (f *fleet) serve(ctx context.Context) error {
	source, err := identity.Watch(ctx, f.platform.data.join("certs", rpc.Supervisor))
	if err != nil {
		return fmt.Errorf("read the supervisor's certificate: %w", err)
	}

	server, err := rpc.NewServer(rpc.ServerConfig{
		Credentials: rpc.Credentials{SVID: source, Bundle: source}, Policy: WorkloadPolicy(),
	})
	if err != nil {
		return fmt.Errorf("make the supervisor's server: %w", err)
	}

	workloadv1.RegisterWorkloadServiceServer(server, workloadServer{fleet: f})

	listener, err := net.FileListener(f.socket)
	if err != nil {
		return fmt.Errorf("listen for the controller: %w", err)
	}

	defer context.AfterFunc(ctx, server.Stop)()

	if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve the controller: %w", err)
	}

	return nil
}
