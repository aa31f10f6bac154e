package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	xdscredentials "google.golang.org/grpc/credentials/xds"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/xds"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/e2e/conformance/orders"
	"github.com/serinhq/serin/mesh/identity"
)

// workload is what the process does.
type workload struct {
	settings settings
	own      rpc.Credentials

	// calls counts those that came, failing those that are yet to be answered with UNAVAILABLE.
	calls, failing atomic.Int64
	// unready is what the probe is told.
	unready atomic.Bool

	mu          sync.Mutex
	connections map[way]*grpc.ClientConn
}

func newWorkload(ctx context.Context, s settings) (*workload, error) {
	source, err := identity.Watch(ctx, s.directory)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}

	return &workload{
		settings: s, own: rpc.Credentials{SVID: source, Bundle: source}, connections: map[way]*grpc.ClientConn{},
	}, nil
}

// serve serves gRPC, and returns where; nothing if it is a client only.
func (w *workload) serve(ctx context.Context, group *errgroup.Group) (string, error) {
	if w.settings.serve == "" {
		return "", nil
	}

	secured, err := xdscredentials.NewServerCredentials(xdscredentials.ServerOptions{FallbackCreds: insecure.NewCredentials()})
	if err != nil {
		return "", fmt.Errorf("make a server: %w", err)
	}

	server, err := xds.NewGRPCServer(grpc.Creds(secured))
	if err != nil {
		return "", fmt.Errorf("make a server: %w", err)
	}

	server.RegisterService(w.service(), struct{}{})

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", w.settings.serve)
	if err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}

	group.Go(func() error {
		<-ctx.Done()
		server.Stop()

		return nil
	})
	group.Go(func() error { return server.Serve(listener) })

	return listener.Addr().String(), nil
}

// service has two methods that do the same, so that routes and policies can tell them apart.
func (w *workload) service() *grpc.ServiceDesc {
	answer := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		if err := decode(&wrapperspb.StringValue{}); err != nil {
			return nil, err
		}

		return w.answer(ctx)
	}

	return &grpc.ServiceDesc{ServiceName: "conform.Echo", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{
		{MethodName: "Call", Handler: answer}, {MethodName: "Other", Handler: answer},
	}}
}

func (w *workload) answer(ctx context.Context) (*wrapperspb.StringValue, error) {
	w.calls.Add(1)

	headers, _ := metadata.FromIncomingContext(ctx)

	if len(headers[orders.HeaderWait]) > 0 {
		<-ctx.Done()

		return nil, status.FromContextError(ctx.Err()).Err()
	}

	if w.failing.Add(-1) >= 0 {
		return nil, status.Error(codes.Unavailable, "as it was told")
	}

	said, err := json.Marshal(orders.Said{
		By: w.settings.name, Revision: w.settings.revision, Caller: caller(ctx), Headers: headers,
	})
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}

	return wrapperspb.String(string(said)), nil
}

func caller(ctx context.Context) string {
	connection, _ := peer.FromContext(ctx)

	info, ok := connection.AuthInfo.(credentials.TLSInfo)
	if !ok || info.SPIFFEID == nil {
		return ""
	}

	return path.Base(info.SPIFFEID.Path)
}
