package rpc_test

import (
	"math"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
)

// outage has a server refuse a thousand calls of one connection, and returns how many attempts it saw beyond those.
func outage(t *testing.T, service *store, connection *grpc.ClientConn) int32 {
	t.Helper()

	const calls = 1000

	service.unavailable.Store(math.MaxInt32)

	var group errgroup.Group

	group.SetLimit(20)

	for range calls {
		group.Go(func() error {
			if _, err := getTurn(t.Context(), connection, "t1"); fault.CodeOf(err) != codes.Unavailable {
				t.Errorf("got %v", err)
			}

			return nil
		})
	}

	_ = group.Wait()

	service.unavailable.Store(0)

	return service.calls.Load() - calls
}

// TestRetriesAreAShareOfTheCalls: a server that is down for all sees less than a fifth more than it was called.
func TestRetriesAreAShareOfTheCalls(t *testing.T) {
	for title, dial := range map[string]func(t *testing.T, service *store) *grpc.ClientConn{
		"grpc-go tries again": func(t *testing.T, service *store) *grpc.ClientConn {
			t.Helper()

			return rpctest.Serve(t, rpc.Context, policy(), register(service))(t, "billing")
		},
		"the mesh's routes and we try again": func(t *testing.T, service *store) *grpc.ClientConn {
			t.Helper()

			p := newPlane(t)
			p.simple(rpc.Context, rpc.Context, p.backend(rpc.Context, policy(), register(service)).Addr)

			return p.dial(rpc.Context)
		},
		"we try again": func(t *testing.T, service *store) *grpc.ClientConn {
			t.Helper()

			p := newPlane(t)
			p.simpleOnce(rpc.Context, rpc.Context, p.backend(rpc.Context, policy(), register(service)).Addr)

			return p.dial(rpc.Context)
		},
	} {
		t.Run(title, func(t *testing.T) {
			service := &store{}
			connection := dial(t, service)

			again := outage(t, service, connection)
			t.Logf("%d calls were sent again", again)

			if again < 40 || again >= 200 {
				t.Errorf("%d of 1000 calls were sent again, want some, and less than a fifth", again)
			}

			if _, err := getTurn(soon(t, 5*time.Second), connection, "t1"); err != nil {
				t.Errorf("after the outage: %v", err)
			}
		})
	}
}

// TestTheMeshsRetriesCount: where the mesh's routes alone try again, calls that can't be repaired use the budget up too.
func TestTheMeshsRetriesCount(t *testing.T) {
	const calls = 1000

	p := newPlane(t)
	service := &agent{name: "billing", refuse: func(int, string) error { return status.Error(codes.Unavailable, "not now") }}
	p.simple("billing", "billing", p.backend("billing", agentPolicy(), service.register).Addr)

	connection := p.dial("billing")

	for range calls {
		if _, err := describe(t.Context(), connection); grpcCode(err) != codes.Unavailable {
			t.Fatalf("got %v", err)
		}
	}

	again := len(service.calls()) - calls
	t.Logf("%d calls were sent again", again)

	if again < 80 || again >= 200 {
		t.Errorf("%d of %d calls were sent again, want some, and less than a fifth", again, calls)
	}
}
