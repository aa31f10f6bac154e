package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/controller/door"
)

const (
	// doorGone is the reason of faults that say that the announced pod is not there.
	doorGone = "CONTROLLER_GONE"
	// doorTimeout bounds looking for the door and the way to it.
	doorTimeout = 10 * time.Second
)

// openDoor is a connection to a controller's door.
type openDoor struct {
	connection *grpc.ClientConn
	way        *forwarding
}

func (d *openDoor) close() {
	_ = d.connection.Close() // nothing is under way
	d.way.close()
}

// opened returns the door that is open, or opens one.
func (c *clusterClient) opened(ctx context.Context) (*openDoor, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.door != nil {
		return c.door, nil
	}

	ctx, cancel := context.WithTimeout(ctx, doorTimeout)
	defer cancel()

	opened, err := c.open(ctx)
	if err == nil {
		c.door = opened
	}

	return opened, err
}

// drop closes a door that nobody is behind any more; nil closes whichever is open.
func (c *clusterClient) drop(gone *openDoor) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.door != nil && (gone == nil || c.door == gone) {
		c.door.close()
		c.door = nil
	}
}

func (c *clusterClient) open(ctx context.Context) (*openDoor, error) {
	announced, err := c.announced(ctx)
	if err != nil {
		return nil, err
	}

	identity := kubernetesIdentity{c.cluster.config}

	secured, err := identity.transport(c.cluster.namespace, announced)
	if err != nil {
		return nil, err
	}

	way, err := forward(ctx, c.cluster.config, c.kubernetes, c.cluster.namespace, announced.Pod, announced.Port)
	if err != nil {
		return nil, c.noWay(announced.Pod, err)
	}

	connection, err := grpc.NewClient("passthrough:///"+way.address,
		grpc.WithTransportCredentials(secured), grpc.WithPerRPCCredentials(identity), grpc.WithStatsHandler(sentHandler{}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: doorTimeout}),
		grpc.WithUserAgent("serin/"+version()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(rpc.DefaultMaxMessageBytes)))
	if err != nil {
		way.close()

		return nil, fmt.Errorf("reach %s: %w", c.cluster, err)
	}

	return &openDoor{connection, way}, nil
}

// announced reads where the door is.
func (c *clusterClient) announced(ctx context.Context) (door.Announcement, error) {
	found, err := c.kubernetes.CoreV1().ConfigMaps(c.cluster.namespace).Get(ctx, door.ConfigMap, metav1.GetOptions{})

	switch {
	case apierrors.IsNotFound(err):
		return door.Announcement{}, fault.New(codes.NotFound, "NO_CONTROLLER",
			"no controller of Serin leads in %s: ConfigMap %s is not there; is Serin installed in another namespace (-n)?", c.cluster, door.ConfigMap)
	case err != nil:
		return door.Announcement{}, c.refused(err, "get configmaps/"+door.ConfigMap)
	}

	announced, err := door.Read(found)
	if err != nil {
		return announced, fault.New(codes.FailedPrecondition, "NO_CONTROLLER", "%s: %w", c.cluster, err)
	}

	return announced, nil
}

// noWay says why a pod can't be reached. One that is gone has been the leader: another one will be.
func (c *clusterClient) noWay(pod string, err error) error {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) && !apierrors.IsNotFound(err) && !apierrors.IsInternalError(err) {
		return c.refused(err, "create pods/portforward")
	}

	return fault.New(codes.Unavailable, doorGone, "pod %s, which leads in %s, can't be reached: %w", pod, c.cluster, err)
}

// refused says what the API server refused, and how to check the right that is missing.
func (c *clusterClient) refused(err error, right string) error {
	switch {
	case apierrors.IsForbidden(err):
		return fault.New(codes.PermissionDenied, "NOT_ALLOWED", "%s: %w; check with: kubectl auth can-i %s -n %s", c.cluster, err, right, c.cluster.namespace)
	case apierrors.IsUnauthorized(err):
		return fault.New(codes.Unauthenticated, "NO_IDENTITY", "%s does not know you: %w; check with: kubectl auth whoami", c.cluster, err)
	case errors.Is(err, context.Canceled):
		return context.Canceled
	default:
		return fault.New(codes.Unavailable, "UNREACHABLE", "%s can't be reached: %w", c.cluster, err)
	}
}
