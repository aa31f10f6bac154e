package rpc_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/wrapperspb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/rpc"
)

func soon(t *testing.T, timeout time.Duration) context.Context {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)

	return ctx
}

func TestTarget(t *testing.T) {
	if got := rpc.Target("shop", "billing"); got != "xds:///billing.shop.svc.cluster.local:9000" {
		t.Errorf("got %s", got)
	}
}

func TestTheMeshBringsCallsThere(t *testing.T) {
	p := newPlane(t)
	backend := p.backend(rpc.Context, policy(), register(&store{}))
	p.simple(rpc.Context, rpc.Context, backend.Addr)

	turn, err := getTurn(t.Context(), p.dial(rpc.Context), "t1")
	if err != nil || turn.GetUser() != "spiffe://cluster.local/ns/default/sa/serin-gateway" || turn.GetAgent() != "30s" {
		t.Errorf("got %v, %v", turn, err)
	}
}

// mustNotReach expects that calls fail before the service sees them, and why.
func mustNotReach(t *testing.T, p *plane, service *agent, want string) {
	t.Helper()

	connection := p.dial("billing")

	_, err := describe(soon(t, 5*time.Second), connection, grpc.WaitForReady(false))
	if grpcCode(err) != codes.Unavailable || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}

	if called := service.calls(); len(called) != 0 {
		t.Errorf("the service was called: %v", called)
	}
}

func TestAServerOfAnotherNameIsRefused(t *testing.T) {
	p := newPlane(t)
	service := &agent{name: "triage"}
	p.simple("billing", "billing", p.backend("triage", agentPolicy(), service.register).Addr)

	mustNotReach(t, p, service, "do not match any of the accepted SANs")
}

// plaintext serves without any security.
func plaintext(t *testing.T, register func(grpc.ServiceRegistrar)) string {
	t.Helper()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	server := grpc.NewServer()
	register(server)

	go func() { _ = server.Serve(listener) }()

	t.Cleanup(server.Stop)

	return listener.Addr().String()
}

func TestAServerWithoutTLSIsRefused(t *testing.T) {
	p := newPlane(t)
	service := &agent{name: "billing"}
	p.simple("billing", "billing", plaintext(t, service.register))

	mustNotReach(t, p, service, "tls: first record does not look like a TLS handshake")
}

func TestAClusterWithoutTLSIsRefused(t *testing.T) {
	p := newPlane(t)
	service := &agent{name: "billing"}
	p.simple("billing", "", plaintext(t, service.register))

	mustNotReach(t, p, service, "plain text is refused")
}

func TestCallsWaitForTheirService(t *testing.T) {
	for kind, call := range kinds() {
		t.Run(kind, func(t *testing.T) {
			p := newPlane(t)
			service := &agent{name: "billing"}
			backend := p.backend("billing", agentPolicy(), service.register)
			p.simple("triage", "triage") // so that the control plane has something to say

			connection := p.dial("billing")
			answered := make(chan error, 1)

			go func() {
				_, err := call(soon(t, 20*time.Second), connection)
				answered <- err
			}()

			for _, step := range []func(){
				func() { p.simple("billing", "billing") }, // without endpoints
				func() { p.simple("billing", "billing", backend.Addr) },
			} {
				select {
				case err := <-answered:
					t.Fatalf("answered by nobody: %v", err)
				case <-time.After(100 * time.Millisecond): // nothing must happen for a while
				}

				step()
			}

			if err := <-answered; err != nil || len(service.calls()) != 1 {
				t.Errorf("%v, asked %v", err, service.calls())
			}
		})
	}
}

// TestWaitingCallsFollowTheRoutes is what grpc-go's own waiting does not: it stays with the cluster that it picked.
func TestWaitingCallsFollowTheRoutes(t *testing.T) {
	p := newPlane(t)
	service := &agent{name: "old"}
	backend := p.backend("billing", agentPolicy(), service.register)
	p.serve(outbound("billing"), routes("billing", to("new", "bbb"), to("old", "")),
		cluster(t, "old", "billing"), endpoints("old", backend.Addr), cluster(t, "new", "billing"), endpoints("new"))

	connection := p.dial("billing")
	answered := make(chan string, 1)

	go func() {
		by, err := handOff(rpc.WithRoute(soon(t, 20*time.Second), rpc.Route{Revision: "bbb"}), connection)
		answered <- by + grpcCode(err).String()
	}()

	select {
	case got := <-answered:
		t.Fatalf("answered by nobody: %s", got)
	case <-time.After(100 * time.Millisecond): // nothing must happen for a while
	}

	p.serve(routes("billing", to("old", "bbb"), to("old", "")))

	if got := <-answered; got != "oldOK" {
		t.Errorf("got %s", got)
	}
}

func TestCallsThatDoNotWaitFailSoon(t *testing.T) {
	p := newPlane(t)
	p.simple("billing", "billing") // and no endpoints

	connection := p.dial("billing")
	began := time.Now()

	if _, err := describe(t.Context(), connection, grpc.WaitForReady(false)); grpcCode(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}

	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestWaitingInVainSaysForWhat(t *testing.T) {
	p := newPlane(t)
	p.simpleOnce("billing", "billing") // and no endpoints

	_, err := describe(soon(t, 300*time.Millisecond), p.dial("billing"))
	if grpcCode(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "to be sent again; before: ") {
		t.Errorf("got %v", err)
	}
}

func TestTheMeshTriesIdempotentCallsAgain(t *testing.T) {
	p := newPlane(t)
	service := &store{}
	p.simpleOnce(rpc.Context, rpc.Context, p.backend(rpc.Context, policy(), register(service)).Addr)
	connection := p.dial(rpc.Context)

	service.unavailable.Store(3)

	if _, err := getTurn(t.Context(), connection, "t1"); err != nil || service.calls.Load() != 4 {
		t.Errorf("%d calls, %v, want 3 refused and 1 answered", service.calls.Load(), err)
	}

	service.unavailable.Store(100)
	service.calls.Store(0)

	_, err := getTurn(t.Context(), connection, "t1")
	expectFault(t, err, codes.Unavailable, "DRAINING")

	if got := service.calls.Load(); got != 5 {
		t.Errorf("%d calls, want 5", got)
	}
}

func TestTheMeshTriesOtherCallsOnce(t *testing.T) {
	p := newPlane(t)
	service := &agent{name: "billing", refuse: until(99, draining())}
	p.simpleOnce("billing", "billing", p.backend("billing", agentPolicy(), service.register).Addr)
	connection := p.dial("billing")

	for kind, call := range kinds() {
		before := len(service.calls())

		_, err := call(rpc.WithRoute(t.Context(), rpc.Route{}), connection)
		expectFault(t, err, codes.Unavailable, "DRAINING")

		if got := len(service.calls()) - before; got != 1 {
			t.Errorf("%s: %d calls", kind, got)
		}
	}
}

// Where nobody wrote routes, the mesh's own two retries try again what may have been carried out: grpc-go does so as long
// as the answer holds no header. They do not multiply with ours.
func TestTheMeshsOwnRetries(t *testing.T) {
	p := newPlane(t)
	service, keeper := &agent{name: "billing", refuse: until(99, draining())}, &store{}
	p.simple("billing", "billing", p.backend("billing", agentPolicy(), service.register).Addr)
	p.simple(rpc.Context, rpc.Context, p.backend(rpc.Context, policy(), register(keeper)).Addr)

	for kind, want := range map[string]int{"unary": 3, "stream": 1} { // the stream's refusal comes with a header
		before := len(service.calls())

		_, err := kinds()[kind](t.Context(), p.dial("billing"))
		expectFault(t, err, codes.Unavailable, "DRAINING")

		if got := len(service.calls()) - before; got != want {
			t.Errorf("%s: %d calls, want %d", kind, got, want)
		}
	}

	keeper.unavailable.Store(100)

	_, err := getTurn(t.Context(), p.dial(rpc.Context), "t1")
	expectFault(t, err, codes.Unavailable, "DRAINING")

	if got := keeper.calls.Load(); got != 5 {
		t.Errorf("%d calls, want 5", got)
	}
}

func TestPinsLeadToTheirRevision(t *testing.T) {
	p := newPlane(t)
	old, fresh := &agent{name: "aaa"}, &agent{name: "bbb"}
	old.refuse = func(int, string) error { return wrong("bbb") }

	p.serve(outbound("billing"), routes("billing", to("a", "aaa"), to("b", "bbb"), to("a", "")),
		cluster(t, "a", "billing"), endpoints("a", p.backend("billing", agentPolicy(), old.register).Addr),
		cluster(t, "b", "billing"), endpoints("b", p.backend("billing", agentPolicy(), fresh.register).Addr))

	by, err := handOff(rpc.WithRoute(t.Context(), rpc.Route{}), p.dial("billing"))
	if err != nil || by != "bbb" || len(old.calls()) != 1 || len(fresh.calls()) != 1 {
		t.Errorf("%q, %v, a %v, b %v", by, err, old.calls(), fresh.calls())
	}
}

// TestClustersThatEnterARouteLoseNoCall covers a race of grpc-go: calls fail that pick a cluster which their channel
// does not know yet.
func TestClustersThatEnterARouteLoseNoCall(t *testing.T) {
	p := newPlane(t)
	one, two := &agent{name: "one"}, &agent{name: "two"}
	p.serve(outbound("billing"), routes("billing", to("a", "")),
		cluster(t, "a", "billing"), endpoints("a", p.backend("billing", agentPolicy(), one.register).Addr),
		cluster(t, "b", "billing"), endpoints("b", p.backend("billing", agentPolicy(), two.register).Addr))

	connection := p.dial("billing")

	var (
		running sync.WaitGroup
		done    atomic.Bool
		failed  atomic.Int32
	)

	for range 4 {
		running.Go(func() {
			for !done.Load() {
				if _, err := handOff(t.Context(), connection); err != nil {
					failed.Add(1)
					t.Error(err)
				}
			}
		})
	}

	for flip := range 20 {
		before := len(one.calls()) + len(two.calls())
		target, seen := "b", two

		if flip%2 == 1 {
			target, seen = "a", one
		}

		at := len(seen.calls())

		p.serve(routes("billing", to(target, "")))
		eventually(t, "calls arrive there", func() bool { return len(seen.calls()) > at+20 })

		if len(one.calls())+len(two.calls()) == before {
			t.Fatal("nothing was called")
		}
	}

	done.Store(true)
	running.Wait()
}

func TestWhatTheMeshKeepsBackStaysBack(t *testing.T) {
	abort := &faultv3.HTTPFault{Abort: &faultv3.FaultAbort{
		ErrorType:  &faultv3.FaultAbort_GrpcStatus{GrpcStatus: uint32(codes.Unavailable)},
		Percentage: &typev3.FractionalPercent{Numerator: 100},
	}}

	full := cluster(t, "outbound|9000||billing", "billing")
	full.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxRequests: wrapperspb.UInt32(0),
	}}}

	for want, change := range map[string]types.Resource{
		"fault injection": outbound("billing", filter("fault", abort)), "max requests": full,
	} {
		t.Run(want, func(t *testing.T) {
			p := newPlane(t)
			p.simple("billing", "billing", p.backend("billing", agentPolicy(), (&agent{name: "billing"}).register).Addr)
			p.serve(change)

			began := time.Now()

			_, err := describe(soon(t, 10*time.Second), p.dial("billing"))
			if grpcCode(err) != codes.Unavailable || !strings.Contains(err.Error(), want) || time.Since(began) > 5*time.Second {
				t.Errorf("got %v after %s, want %q", err, time.Since(began), want)
			}
		})
	}
}

func TestCallsGoOnWithoutTheControlPlane(t *testing.T) {
	p := newPlane(t)
	p.simple(rpc.Context, rpc.Context, p.backend(rpc.Context, policy(), register(&store{})).Addr)
	connection := p.dial(rpc.Context)

	for _, change := range []func(){func() {}, func() { p.server.Stop() }, p.start} {
		change()

		for range 20 {
			if _, err := getTurn(t.Context(), connection, "t1"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestCallsWaitForTheControlPlane starts a client first, as processes that start together may do.
func TestCallsWaitForTheControlPlane(t *testing.T) {
	p := newPlane(t)
	p.simple(rpc.Context, rpc.Context, p.backend(rpc.Context, policy(), register(&store{})).Addr)
	p.server.Stop()

	connection := p.dial(rpc.Context)
	answered := make(chan error, 1)

	go func() {
		_, err := getTurn(soon(t, 20*time.Second), connection, "t1")
		answered <- err
	}()

	select {
	case err := <-answered:
		t.Fatalf("answered by nobody: %v", err)
	case <-time.After(100 * time.Millisecond): // nothing must happen for a while
	}

	p.start()

	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestStreamsAreNotSentAgain(t *testing.T) {
	p := newPlane(t)
	p.simple(rpc.Context, rpc.Context, p.backend(rpc.Context, policy(), register(&store{})).Addr)

	stream, err := contextv1.NewContextServiceClient(p.dial(rpc.Context)).Publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	_, err = stream.CloseAndRecv() // agents only
	expectFault(t, err, codes.PermissionDenied, "METHOD_NOT_ALLOWED")
}
