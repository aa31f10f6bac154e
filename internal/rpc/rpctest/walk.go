package rpctest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

// Stranger is one of the platform's own names that nobody has.
const Stranger = "serin-stranger"

const walkTimeout = 10 * time.Second

// WalkMethods checks that every method of the server is in the policy, that the policy names no other, and that a
// stranger is refused by each one, streams included. Methods that any workload may call refuse a stranger of another
// namespace. Health and reflection, which every server has, are left out.
func WalkMethods(
	tb testing.TB, server reflection.ServiceInfoProvider, dial func(tb testing.TB, as string) *grpc.ClientConn, policy rpc.Policy,
) {
	tb.Helper()

	methods := registered(server)
	for name := range maps.Keys(policy) {
		if _, ok := methods[name]; !ok {
			tb.Errorf("the policy names %s, which the server does not have", name)
		}
	}

	near := dial(tb, Stranger)
	far := dial(tb, rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: "elsewhere", Name: Stranger}.String())

	for _, name := range slices.Sorted(maps.Keys(methods)) {
		caller, ok := policy[name]
		if !ok {
			tb.Errorf("%s is not in the policy", name)

			continue
		}

		mustRefuse(tb, far, name, methods[name])

		if !caller(Identity(tb, Stranger)) {
			mustRefuse(tb, near, name, methods[name])
		}
	}
}

// registered returns the server's methods by full name, but for what every server has.
func registered(server reflection.ServiceInfoProvider) map[string]grpc.MethodInfo {
	methods := map[string]grpc.MethodInfo{}

	for service, info := range server.GetServiceInfo() {
		if strings.HasPrefix(service, "grpc.") {
			continue
		}

		for _, method := range info.Methods {
			methods[fmt.Sprintf("/%s/%s", service, method.Name)] = method
		}
	}

	return methods
}

func mustRefuse(tb testing.TB, connection *grpc.ClientConn, method string, info grpc.MethodInfo) {
	tb.Helper()

	ctx, cancel := context.WithTimeout(tb.Context(), walkTimeout)
	defer cancel()

	if err := call(ctx, connection, method, info); !fault.Is(err, "METHOD_NOT_ALLOWED") {
		tb.Errorf("%s answered a stranger with %v, want PERMISSION_DENIED (METHOD_NOT_ALLOWED)", method, err)
	}
}

// call sends an empty message, which is one of any type, and returns the RPC's error.
func call(ctx context.Context, connection *grpc.ClientConn, method string, info grpc.MethodInfo) error {
	if !info.IsClientStream && !info.IsServerStream {
		return connection.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})
	}

	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{
		StreamName: info.Name, ClientStreams: info.IsClientStream, ServerStreams: info.IsServerStream,
	}, method)
	if err != nil {
		return err
	}

	_ = stream.SendMsg(&emptypb.Empty{}) // io.EOF if it was refused already; RecvMsg has the reason
	_ = stream.CloseSend()

	return stream.RecvMsg(&emptypb.Empty{})
}
