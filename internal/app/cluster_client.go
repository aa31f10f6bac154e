package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
)

// clusterClient speaks to the controller that leads in a namespace of a cluster. It reads Agents, and writes one only where
// a person brings a file.
type clusterClient struct {
	cluster    *cluster
	web        *http.Client
	kubernetes kubernetes.Interface
	objects    dynamic.Interface

	mu   sync.Mutex
	door *openDoor
}

func newClusterClient(at *cluster) (*clusterClient, error) {
	logClientGo(slog.New(slog.DiscardHandler)) // errors say it all

	if at.config.Impersonate.UserName != "" {
		return nil, usageErrorf("kubeconfig: context %q acts as %q; the controller would see who you are: use a user with rights of its own",
			at.context, at.config.Impersonate.UserName)
	}

	web, err := rest.HTTPClientFor(at.config)
	if err != nil {
		return nil, usageErrorf("kubeconfig: context %q: %w", at.context, err)
	}

	clientset, err := kubernetes.NewForConfigAndClient(at.config, web)
	if err != nil {
		return nil, usageErrorf("kubeconfig: context %q: %w", at.context, err)
	}

	objects, err := dynamic.NewForConfigAndClient(at.config, web)
	if err != nil {
		return nil, usageErrorf("kubeconfig: context %q: %w", at.context, err)
	}

	return &clusterClient{cluster: at, web: web, kubernetes: clientset, objects: objects}, nil
}

func (c *clusterClient) close() {
	c.drop(nil)
	utilnet.CloseIdleConnectionsFor(c.web.Transport)
}

func (c *clusterClient) rollouts(ctx context.Context, agent string) (*rolloutv1.ListRolloutsResponse, error) {
	if agent == "" {
		answer := &rolloutv1.ListRolloutsResponse{}

		return answer, c.call(ctx, rolloutv1.RolloutService_ListRollouts_FullMethodName, &rolloutv1.ListRolloutsRequest{}, answer)
	}

	answer := &rolloutv1.GetRolloutResponse{}
	if err := c.call(ctx, rolloutv1.RolloutService_GetRollout_FullMethodName, &rolloutv1.GetRolloutRequest{Agent: agent}, answer); err != nil {
		return nil, err
	}

	return &rolloutv1.ListRolloutsResponse{Rollouts: []*rolloutv1.Rollout{answer.GetRollout()}}, nil
}

// commands are the methods behind REST's verbs.
func commands() map[string]string {
	return map[string]string{
		"start": rolloutv1.RolloutService_StartRollout_FullMethodName, "setWeight": rolloutv1.RolloutService_SetWeight_FullMethodName,
		"pause": rolloutv1.RolloutService_PauseRollout_FullMethodName, "resume": rolloutv1.RolloutService_ResumeRollout_FullMethodName,
		"promote": rolloutv1.RolloutService_PromoteRollout_FullMethodName, "abort": rolloutv1.RolloutService_AbortRollout_FullMethodName,
		"undo": rolloutv1.RolloutService_UndoRollout_FullMethodName, "retry": rolloutv1.RolloutService_RetryRollout_FullMethodName,
	}
}

func (c *clusterClient) steer(ctx context.Context, agent, verb string, in proto.Message) (*rolloutv1.Rollout, error) {
	request := proto.Clone(in).ProtoReflect()
	request.Set(request.Descriptor().Fields().ByName("agent"), protoreflect.ValueOfString(agent))

	answer := &rolloutv1.GetRolloutResponse{} // every answer has the rollout in the same place
	err := c.call(ctx, commands()[verb], request.Interface(), answer)

	return answer.GetRollout(), err
}

func (c *clusterClient) history(ctx context.Context, agent string, size int, page string) (*rolloutv1.ListHistoryResponse, error) {
	answer := &rolloutv1.ListHistoryResponse{}
	request := &rolloutv1.ListHistoryRequest{Agent: agent, PageSize: int32(min(size, pageSize)), PageToken: page} //nolint:gosec // pageSize is small

	return answer, c.call(ctx, rolloutv1.RolloutService_ListHistory_FullMethodName, request, answer)
}

func (c *clusterClient) revision(ctx context.Context, agent, name string) (*rolloutv1.GetRevisionResponse, error) {
	answer := &rolloutv1.GetRevisionResponse{}

	return answer, c.call(ctx, rolloutv1.RolloutService_GetRevision_FullMethodName,
		&rolloutv1.GetRevisionRequest{Agent: agent, Revision: name}, answer)
}

func (c *clusterClient) watch(ctx context.Context, agent string) (rolloutStream, error) {
	ctx, cancel := context.WithCancel(ctx)

	stream := &clusterStream{client: c, cancel: cancel}

	err := c.through(ctx, true, func(ctx context.Context, door *openDoor) (err error) {
		stream.door = door
		stream.changes, err = rolloutv1.NewRolloutServiceClient(door.connection).WatchRollouts(ctx, &rolloutv1.WatchRolloutsRequest{Agent: agent})
		if err == nil {
			stream.first, err = stream.changes.Recv() // a watch begins with all there is: only then it is one
		}

		return err
	})
	if err != nil {
		cancel()

		return nil, err
	}

	return stream, nil
}

// clusterStream is a watch at a controller's door.
type clusterStream struct {
	client  *clusterClient
	door    *openDoor
	cancel  context.CancelFunc
	changes grpc.ServerStreamingClient[rolloutv1.WatchRolloutsResponse]
	first   *rolloutv1.WatchRolloutsResponse
}

func (s *clusterStream) nextRollouts() (*rolloutv1.WatchRolloutsResponse, error) {
	if change := s.first; change != nil {
		s.first = nil

		return change, nil
	}

	change, err := s.changes.Recv()

	switch {
	case err == nil:
		return change, nil
	case errors.Is(err, io.EOF):
		return nil, errCut
	case isLost(err):
		s.client.drop(s.door) // the next one looks for who leads now

		return nil, errCut
	default:
		return nil, fault.From(err)
	}
}

func (s *clusterStream) close() { s.cancel() }
