package xds

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// two starts billing with the processes a and b, and waits until both serve.
func (m *mesh) two() (a, b *backend) {
	m.Helper()
	m.apply(billingEntry)

	a, b = m.serve("a", "billing"), m.serve("b", "billing")
	m.apply(workload("a", a.port, true) + workload("b", b.port, true))
	<-a.serving
	<-b.serving

	return a, b
}

// one starts billing with one process, and waits until it serves.
func (m *mesh) one(options ...grpc.ServerOption) *backend {
	m.Helper()
	m.apply(billingEntry)

	a := m.serve("a", "billing", options...)
	m.apply(workload("a", a.port, true))
	<-a.serving

	return a
}

// count calls n times and says who answered.
func (m *mesh) count(connection *grpc.ClientConn, n int, headers ...string) map[string]int {
	m.Helper()

	answers := map[string]int{}

	for range n {
		server, _, err := call(m.Context(), connection, headers...)
		m.must(err)

		answers[server]++
	}

	return answers
}

func TestSplitAndPins(t *testing.T) {
	m := startMesh(t)
	m.two()
	m.apply(subsets("a", "b") + split("a=90 b=10"))

	connection := m.client("gateway")

	server, caller, err := call(t.Context(), connection, "pin", "b")
	if err != nil || server != "b" || caller != "gateway" {
		t.Errorf("pinned: %s, called by %s, %v", server, caller, err)
	}

	// 4,000 calls: 400 with a standard deviation of 19; 99.999% lie within 84.
	if answers := m.count(connection, 4000); answers["b"] < 316 || answers["b"] > 484 {
		t.Errorf("b answered %d of 4000 calls, want 10%%", answers["b"])
	}

	if answers := m.count(connection, 200, "pin", "b"); answers["b"] != 200 {
		t.Errorf("pinned calls: %v", answers)
	}

	// A pin leads where its route leads: to a, once b is withdrawn.
	m.apply(strings.Replace(split("a=100 b=0"), "{pin: {exact: b}}}], route: [{destination: {host: billing, subset: b}", "{pin: {exact: b}}}], route: [{destination: {host: billing, subset: a}", 1))

	// Routes reach a client as a whole: from its first redirected call on, none goes back.
	for server = "b"; server != "a"; {
		server, _, err = call(t.Context(), connection, "pin", "b")
		m.must(err)
	}

	if answers := m.count(connection, 200, "pin", "b"); answers["a"] != 200 {
		t.Errorf("redirected calls: %v", answers)
	}

	if answers := m.count(connection, 200); answers["a"] != 200 {
		t.Errorf("calls after the split went back: %v", answers)
	}
}

// load calls all the time until it is stopped; failures are counted and the first is kept.
type load struct {
	calls, failures atomic.Int64
	first           atomic.Pointer[string]
	stop            func()
}

func (m *mesh) load(connection *grpc.ClientConn) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{}

	var callers sync.WaitGroup

	for i := range 4 {
		callers.Go(func() {
			for ctx.Err() == nil {
				headers := []string{}
				if i == 0 {
					headers = []string{"pin", "a"}
				}

				if _, _, err := call(context.WithoutCancel(ctx), connection, headers...); err != nil {
					text := err.Error()
					l.first.CompareAndSwap(nil, &text)
					l.failures.Add(1)
				}

				l.calls.Add(1)
			}
		})
	}

	l.stop = sync.OnceFunc(func() {
		cancel()
		callers.Wait()
	})
	m.Cleanup(l.stop)

	return l
}

func (l *load) check(t *testing.T) {
	t.Helper()
	l.stop()
	t.Logf("%d calls", l.calls.Load())

	if failures := l.failures.Load(); failures > 0 {
		t.Errorf("%d of %d calls failed, first: %s", failures, l.calls.Load(), *l.first.Load())
	}
}

// Subsets come and go, weights move there and back: no call fails.
func TestUpAndDownUnderLoad(t *testing.T) {
	m := startMesh(t)
	m.two()
	m.apply(subsets("a") + split("a=100"))

	load := m.load(m.client("gateway"))

	for range 8 {
		m.apply(subsets("a", "b"))
		m.apply(split("a=100 b=0"))
		m.apply(split("a=50 b=50"))
		m.apply(split("a=0 b=100"))
		m.apply(split("a=100 b=0"))
		m.apply(split("a=100"))
		m.apply(subsets("a"))
	}

	load.check(t)
}

// A process that is not ready gets no calls, but has its listener.
func TestUnreadyEndpointsGetNothing(t *testing.T) {
	m := startMesh(t)
	a, b := m.two()
	connection := m.client("gateway")

	eventually(t, "both get the same", func() bool { return m.count(connection, 20)["a"] == 10 })
	m.apply(workload("b", b.port, false))
	eventually(t, "b gets nothing any more", func() bool { return m.count(connection, 20)["b"] == 0 })

	c := m.serve("c", "billing")
	m.apply(workload("c", c.port, false))
	<-c.serving

	if answers := m.count(connection, 50); answers["a"] != 50 {
		t.Errorf("only a ready: %v", answers)
	}

	m.apply(workload("c", c.port, true))
	eventually(t, "c gets calls", func() bool { return m.count(connection, 20)["c"] > 0 })
	m.apply(workload("a", a.port, false) + workload("c", c.port, false))
	eventually(t, "calls fail at once if nobody is ready", func() bool {
		var answer wrapperspb.StringValue

		return status.Code(connection.Invoke(t.Context(), echoMethod, wrapperspb.String(""), &answer)) == codes.Unavailable
	})
}

func TestAuthorizationPoliciesAreEnforced(t *testing.T) {
	m := startMesh(t)
	m.two()
	m.apply(`
kind: AuthorizationPolicy
metadata: {name: billing}
spec:
  selector: {matchLabels: {app: billing}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/default/sa/gateway]}}]
    to: [{operation: {paths: [/test.Echo/Call], ports: ["9000"]}}]
---
kind: AuthorizationPolicy
metadata: {name: never}
spec:
  action: DENY
  rules: [{when: [{key: "request.headers[x-evil]", values: ["*"]}]}]
`)

	gateway, stranger := m.client("gateway"), m.client("stranger")

	if _, _, err := call(t.Context(), gateway); err != nil {
		t.Errorf("gateway: %v", err)
	}

	if _, _, err := call(t.Context(), stranger); status.Code(err) != codes.PermissionDenied {
		t.Errorf("stranger: %v", err)
	}

	if _, _, err := call(t.Context(), gateway, "x-evil", "1"); status.Code(err) != codes.PermissionDenied {
		t.Errorf("denied header: %v", err)
	}
}

// A server that does not prove to be who the entry says is not talked to.
func TestServersProveWhoTheyAre(t *testing.T) {
	m := startMesh(t)
	m.apply(billingEntry)

	impostor := m.serve("a", "stranger")
	m.apply(workload("a", impostor.port, true))
	<-impostor.serving

	var answer wrapperspb.StringValue

	err := m.client("gateway").Invoke(t.Context(), echoMethod, wrapperspb.String(""), &answer)
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "SAN") {
		t.Errorf("Invoke() = %v, want a refusal of the certificate's names", err)
	}
}

// Without a control plane traffic goes on; when it is back, nothing flaps and changes arrive again.
func TestRestartUnderLoad(t *testing.T) {
	m := startMesh(t)
	m.two()
	m.apply(subsets("a", "b") + split("a=100 b=0"))

	connection := m.client("gateway")
	m.count(connection, 1)

	load := m.load(connection)

	for range 2 {
		m.stop()

		if answers := m.count(connection, 200); answers["a"] != 200 {
			t.Errorf("without a control plane: %v", answers)
		}

		m.start(m.address)
		eventually(t, "everyone is back", func() bool { return len(m.server.open()) == 3 })
	}

	// A client that took routes uses them a moment later.
	m.apply(split("a=0 b=100"))
	eventually(t, "a change arrives", func() bool { return m.count(connection, 200)["b"] == 200 })

	// A change that is written before anyone is back is not known to everyone before everyone is back.
	m.stop()
	m.start(m.address)
	m.apply(split("a=100 b=0"))

	if back := len(m.server.open()); back != 3 {
		t.Errorf("reconciled with %d of 3 streams", back)
	}

	eventually(t, "a change at the start arrives", func() bool { return m.count(connection, 200)["a"] == 200 })

	load.check(t)
}

// Timeouts, retries, faults, paths and hashes do in grpc-go what they say.
func TestRoutesDoWhatTheySay(t *testing.T) {
	m := startMesh(t)
	m.two()
	m.apply(`
kind: DestinationRule
metadata: {name: billing}
spec:
  host: billing
  trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}
---
kind: VirtualService
metadata: {name: billing}
spec:
  hosts: [billing]
  http:
  - match: [{headers: {x-abort: {}}}]
    fault: {abort: {grpcStatus: RESOURCE_EXHAUSTED}}
    retries: {attempts: 0}
    route: [{destination: {host: billing}}]
  - match: [{headers: {x-delay: {prefix: "y"}}}]
    fault: {delay: {fixedDelay: 0.05s}}
    route: [{destination: {host: billing}}]
  - match: [{headers: {x-wait: {}}}]
    timeout: 0.05s
    retries: {attempts: 0}
    route: [{destination: {host: billing}}]
  - match: [{uri: {regex: "/test\\.Ec.o/.*"}, headers: {x-never: {regex: "ab+"}}}]
    fault: {abort: {httpStatus: 403}}
    route: [{destination: {host: billing}}]
  - route: [{destination: {host: billing}}]
`)

	connection := m.client("gateway")

	for header, want := range map[string]codes.Code{
		"x-abort anything": codes.ResourceExhausted, "x-wait 1": codes.DeadlineExceeded, "x-delay no": codes.OK,
		"x-never abbb": codes.PermissionDenied, "x-never abc": codes.OK,
	} {
		if _, _, err := call(t.Context(), connection, strings.Fields(header)...); status.Code(err) != want {
			t.Errorf("%s: %v, want %s", header, err, want)
		}
	}

	start := time.Now()
	if m.count(connection, 1, "x-delay", "yes"); time.Since(start) < 50*time.Millisecond {
		t.Errorf("a delayed call took %v", time.Since(start))
	}

	served := map[string]bool{}

	for user := range 40 {
		answers := m.count(connection, 5, "x-user", fmt.Sprint("user", user))
		if len(answers) != 1 {
			t.Errorf("user %d is served by %v", user, answers)
		}

		for server := range answers {
			served[server] = true
		}
	}

	if len(served) != 2 {
		t.Errorf("all users are served by %v", served)
	}
}

// The API refuses what the mesh could not do, and says which field it is.
func TestAPIRefusesByName(t *testing.T) {
	m := startMesh(t)
	m.idle = true
	object := parse(t, strings.Replace(split("a=100"), "retries: {attempts: 0}\n    route", "mirror: {host: x}\n    route", 1)).VirtualServices[0]

	_, err := m.api.NetworkingV1().VirtualServices("default").Create(t.Context(), object, metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "spec.http[2].mirror") {
		t.Errorf("Create() = %v", err)
	}
}
