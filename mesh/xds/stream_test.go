package xds

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	patience = 10 * time.Second
	testNode = "sidecar~127.0.0.1~test.default~default.svc.cluster.local"
)

// plane is a control plane over plain TCP, for streams whose every message a test decides.
type plane struct {
	server  *Server
	store   *memory
	address string
}

func startPlane(tb testing.TB, text string, change func(*Config)) *plane {
	tb.Helper()

	store := newMemory(parse(tb, ""))
	store.set(tb, text)

	config := Config{
		Objects:  store,
		Identity: func(context.Context) (string, string, bool) { return "default", "test", true },
		Settle:   time.Nanosecond, ReturnLimit: time.Nanosecond,
	}
	if change != nil {
		change(&config)
	}

	server, err := New(config)
	if err != nil {
		tb.Fatal(err)
	}

	p := &plane{server: server, store: store}
	p.address = serve(tb, server, insecure.NewCredentials())

	return p
}

// serve runs a control plane until its test ends.
func serve(tb testing.TB, server *Server, security credentials.TransportCredentials) string {
	tb.Helper()

	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}

	stop := serveOn(tb, server, security, listener)
	tb.Cleanup(stop)

	return listener.Addr().String()
}

// serveOn runs a control plane until stop is called.
func serveOn(tb testing.TB, server *Server, security credentials.TransportCredentials, listener net.Listener) (stop func()) {
	tb.Helper()

	own := grpc.NewServer(grpc.Creds(security), grpc.WaitForHandlers(true))
	server.Register(own)

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)

	go func() {
		err := own.Serve(listener)
		if errors.Is(err, grpc.ErrServerStopped) { // a test that ended before this began
			err = nil
		}

		ended <- err
	}()
	go func() { ended <- server.Run(ctx) }()

	return func() {
		cancel()
		own.Stop()

		for range cap(ended) {
			if err := <-ended; err != nil {
				tb.Error(err)
			}
		}
	}
}

// reconciled waits for an object's generation, as in "VirtualService billing 2".
func (p *plane) reconciled(tb testing.TB, object string, want metav1.ConditionStatus) string {
	tb.Helper()

	var message string

	eventually(tb, object+" "+string(want), func() bool {
		condition := p.store.reconciled(object)
		message = condition.Message

		return condition.Status == want
	})

	return message
}

func eventually(tb testing.TB, what string, is func() bool) {
	tb.Helper()

	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) { // polled
		if time.Now().After(end) {
			tb.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// raw is a stream of which a test decides every message.
type raw struct {
	tb   testing.TB
	ads  discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient
	node string
	last map[Type]*discoveryv3.DiscoveryResponse
	want map[Type][]string
}

func dial(tb testing.TB, address, node string) *raw {
	tb.Helper()

	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}

	tb.Cleanup(func() { connection.Close() })

	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)

	ads, err := discoveryv3.NewAggregatedDiscoveryServiceClient(connection).StreamAggregatedResources(ctx)
	if err != nil {
		tb.Fatal(err)
	}

	return &raw{tb, ads, node, map[Type]*discoveryv3.DiscoveryResponse{}, map[Type][]string{}}
}

func (r *raw) send(kind Type, refusal string) {
	r.tb.Helper()

	last := r.last[kind]
	request := &discoveryv3.DiscoveryRequest{
		Node: &corev3.Node{Id: r.node}, TypeUrl: kind.URL(), ResourceNames: r.want[kind],
		ResponseNonce: last.GetNonce(), VersionInfo: last.GetVersionInfo(),
	}

	if refusal != "" {
		request.ErrorDetail = &spb.Status{Code: int32(codes.InvalidArgument), Message: refusal}
	}

	if err := r.ads.Send(request); err != nil {
		r.tb.Fatal(err)
	}
}

// ask subscribes to names, in the place of those before.
func (r *raw) ask(kind Type, names ...string) {
	r.tb.Helper()
	r.want[kind] = names
	r.send(kind, "")
}

// receive takes the next response, which must be of this type, and returns how many resources it holds.
func (r *raw) receive(kind Type) int {
	r.tb.Helper()

	type result struct {
		response *discoveryv3.DiscoveryResponse
		err      error
	}

	results := make(chan result, 1)
	go func() {
		response, err := r.ads.Recv()
		results <- result{response, err}
	}()

	select {
	case got := <-results:
		if got.err != nil || got.response.GetTypeUrl() != kind.URL() {
			r.tb.Fatalf("got %v, %v; want %s", got.response.GetTypeUrl(), got.err, kind)
		}

		r.last[kind] = got.response

		return len(got.response.GetResources())
	case <-time.After(patience):
		r.tb.Fatalf("no %s", kind)

		return 0
	}
}

func (r *raw) take(kind Type) int {
	r.tb.Helper()

	count := r.receive(kind)
	r.send(kind, "")

	return count
}

const (
	clusterA = "outbound|9000|a|billing.default.svc.cluster.local"
	clusterB = "outbound|9000|b|billing.default.svc.cluster.local"
)

func billing(weights string, subset ...string) string {
	return billingEntry + workload("a", 1, true) + workload("b", 2, true) + subsets(subset...) + split(weights)
}

// A weight change is one response with one resource.
func TestOnlyWhatChangedIsSent(t *testing.T) {
	p := startPlane(t, billing("a=90 b=10", "a", "b")+billingOther, nil)
	r := dial(t, p.address, testNode)

	r.ask(Listener, "billing.default.svc.cluster.local:9000")
	r.take(Listener)
	r.ask(Routes, billingRoutes, otherRoutes)

	if got := r.take(Routes); got != 2 {
		t.Errorf("%d routes, want 2", got)
	}

	r.ask(Cluster, clusterA, clusterB)
	r.take(Cluster)
	r.ask(Endpoints, clusterA, clusterB)

	if got := r.take(Endpoints); got != 2 {
		t.Errorf("%d endpoints, want 2", got)
	}

	p.store.set(t, billing("a=50 b=50", "a", "b")+billingOther)

	if got := r.take(Routes); got != 1 {
		t.Errorf("%d routes, want 1", got)
	}

	p.reconciled(t, "VirtualService billing 2", metav1.ConditionTrue)

	// One endpoint leaves: one of two assignments.
	p.store.set(t, strings.Replace(billing("a=50 b=50", "a", "b")+billingOther, `"true"`, `"false"`, 1))

	if got := r.take(Endpoints); got != 1 {
		t.Errorf("%d endpoints, want 1", got)
	}

	if streams := p.server.open(); len(streams) != 1 || streams[0].node != testNode {
		t.Errorf("streams %+v", streams)
	}
}

// Clusters come before routes; what waits for an answer holds back what comes after it.
func TestMakeBeforeBreak(t *testing.T) {
	p := startPlane(t, billing("a=100", "a"), nil)
	r := dial(t, p.address, testNode)

	r.ask(Routes, billingRoutes)
	r.take(Routes)
	r.ask(Cluster, clusterA, clusterB)

	if got := r.take(Cluster); got != 1 {
		t.Errorf("%d clusters, want 1: the other is not there yet", got)
	}

	p.store.set(t, billing("a=90 b=10", "a", "b"))

	if got := r.receive(Cluster); got != 2 {
		t.Errorf("%d clusters, want both: a response without one would take it away", got)
	}

	if p.store.reconciled("VirtualService billing 2").Status != "" || p.store.reconciled("DestinationRule billing 2").Status != "" {
		t.Error("reconciled before it was answered")
	}

	r.send(Cluster, "")
	r.take(Routes)
	r.ask(Endpoints, clusterA, clusterB)
	r.take(Endpoints)
	p.reconciled(t, "DestinationRule billing 2", metav1.ConditionTrue)
	p.reconciled(t, "VirtualService billing 2", metav1.ConditionTrue)

	// And back: the cluster is gone once a complete response says so.
	p.store.set(t, billing("a=100", "a"))

	if got := r.take(Cluster); got != 1 {
		t.Errorf("%d clusters, want 1", got)
	}

	r.take(Routes)
	p.reconciled(t, "DestinationRule billing 3", metav1.ConditionTrue)
}

// Routes count as known once the clusters that they lead to are.
func TestRoutesWaitForTheirClusters(t *testing.T) {
	p := startPlane(t, billing("a=100", "a", "b"), nil)
	r := dial(t, p.address, testNode)

	r.ask(Routes, billingRoutes)
	r.take(Routes)
	r.ask(Cluster, clusterA)
	r.take(Cluster)
	r.ask(Endpoints, clusterA)
	r.take(Endpoints)

	p.store.set(t, billing("a=90 b=10", "a", "b"))
	r.take(Routes)
	r.ask(Cluster, clusterA, clusterB)
	r.receive(Cluster)

	if got := p.store.reconciled("VirtualService billing 2").Status; got != "" {
		t.Errorf("reconciled %s before its cluster is known", got)
	}

	r.send(Cluster, "")
	r.ask(Endpoints, clusterA, clusterB)

	if got := r.take(Endpoints); got != 1 {
		t.Errorf("%d endpoints, want the new ones", got)
	}

	p.reconciled(t, "VirtualService billing 2", metav1.ConditionTrue)
}

// A client that takes its first routes asks for clusters next.
func TestRoutesWaitForTheFirstClusters(t *testing.T) {
	p := startPlane(t, billing("a=100", "a"), nil)
	r := dial(t, p.address, testNode)

	r.ask(Routes, billingRoutes)
	r.take(Routes)
	p.store.set(t, strings.Replace(billing("a=100", "a"), "exact: a", "exact: z", 1))
	r.take(Routes)
	p.told(t)

	if got := p.store.reconciled("VirtualService billing 2").Status; got != "" {
		t.Errorf("reconciled %s before any cluster is known", got)
	}

	r.ask(Cluster, clusterA)
	r.take(Cluster)
	r.ask(Endpoints, clusterA)
	r.take(Endpoints)
	p.reconciled(t, "VirtualService billing 2", metav1.ConditionTrue)
}

func TestNobodyAsksSoEverybodyHasIt(t *testing.T) {
	p := startPlane(t, billing("a=100", "a"), nil)

	p.reconciled(t, "VirtualService billing 1", metav1.ConditionTrue)
	p.reconciled(t, "DestinationRule billing 1", metav1.ConditionTrue)
	p.reconciled(t, "ServiceEntry billing 1", metav1.ConditionTrue)
}

// After a start, nothing counts as known until the proxies are back that were ready before: here a and b.
func TestRestartWaitsForWhoWasReady(t *testing.T) {
	p := startPlane(t, billing("a=100", "a"), func(c *Config) { c.ReturnLimit = time.Hour })
	written := func() metav1.ConditionStatus { return p.store.reconciled("ServiceEntry other 1").Status }

	p.store.set(t, billing("a=100", "a")+billingOther)

	dial(t, p.address, testNode).ask(Listener, inboundName("127.0.0.1", 1))
	p.told(t)

	if got := written(); got != "" {
		t.Errorf("reconciled %s before b is back", got)
	}

	r := dial(t, p.address, testNode)
	r.ask(Listener, inboundName("127.0.0.1", 2))
	p.reconciled(t, "ServiceEntry other 1", metav1.ConditionTrue)
	p.reconciled(t, "VirtualService billing 1", metav1.ConditionTrue)
}

// told returns once the control plane has looked at everything that happened before, and once more.
func (p *plane) told(tb testing.TB) {
	tb.Helper()

	for range 2 {
		p.server.review <- struct{}{}
	}

	eventually(tb, "a review", func() bool { return len(p.server.review) == 0 })
}

// A workload that stops being ready will not come back, and one that is ready since is there.
func TestRestartWaitsForNobodyElse(t *testing.T) {
	p := startPlane(t, billing("a=100", "a"), func(c *Config) { c.ReturnLimit = time.Hour })

	p.store.set(t, strings.Replace(billing("a=100", "a"), `"true"`, `"false"`, 1)) // a
	p.told(t)

	if got := p.store.reconciled("VirtualService billing 1").Status; got != "" {
		t.Errorf("reconciled %s without b", got)
	}

	p.store.set(t, billingEntry+workload("a", 1, true)+workload("c", 3, true)+subsets("a")+split("a=100"))
	p.reconciled(t, "VirtualService billing 1", metav1.ConditionTrue)
}

// Nobody is waited for endlessly; and some time is left to clients, which have no listener that would tell of them.
func TestRestartWaitsForSoLong(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"the limit": func(c *Config) { c.ReturnLimit = 300 * time.Millisecond },
		"settling":  func(c *Config) { c.Settle, c.ReturnLimit = 300*time.Millisecond, time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			p := startPlane(t, billing("a=100", "a"), change)

			p.store.set(t, billing("a=100", "a")+billingOther)
			dial(t, p.address, testNode).ask(Listener, inboundName("127.0.0.1", 1))

			if name == "settling" {
				dial(t, p.address, testNode).ask(Listener, inboundName("127.0.0.1", 2))
			}

			p.reconciled(t, "ServiceEntry other 1", metav1.ConditionTrue)

			if took := time.Since(start); took < 300*time.Millisecond {
				t.Errorf("reconciled after %v", took)
			}
		})
	}
}

// Where nobody was there before, a change is known as soon as everyone has it.
func TestFirstStartWaitsForNobody(t *testing.T) {
	p := startPlane(t, "", func(c *Config) { c.Settle, c.ReturnLimit = time.Hour, time.Hour })

	p.store.set(t, billing("a=100", "a"))
	p.reconciled(t, "VirtualService billing 1", metav1.ConditionTrue)
}

const otherRoutes = "outbound|9000||other.default.svc.cluster.local"

const billingOther = "\n---\n" + `
kind: ServiceEntry
metadata: {name: other}
spec:
  hosts: [other.default.svc.cluster.local]
  ports: [{number: 9000, name: grpc, protocol: GRPC}]
  location: MESH_INTERNAL
  resolution: STATIC
  workloadSelector: {labels: {app: other}}
`

func TestRefusalIsVisible(t *testing.T) {
	p := startPlane(t, billing("a=100", "a"), nil)
	r := dial(t, p.address, testNode)

	r.ask(Routes, billingRoutes)
	r.take(Routes)

	p.store.set(t, strings.Replace(billing("a=1", "a"), "exact: a", "exact: z", 1))
	r.receive(Routes)
	r.send(Routes, "route is bad")

	message := p.reconciled(t, "VirtualService billing 2", metav1.ConditionFalse)
	if want := testNode + " refused RDS: InvalidArgument: route is bad"; message != want {
		t.Errorf("message %q, want %q", message, want)
	}

	// What follows is tried anew.
	p.store.set(t, billing("a=1", "a"))
	r.take(Routes)
	p.reconciled(t, "VirtualService billing 3", metav1.ConditionTrue)
}

func TestProblemIsVisible(t *testing.T) {
	p := startPlane(t, billing("a=100", "a"), nil)
	p.reconciled(t, "VirtualService billing 1", metav1.ConditionTrue)

	p.store.set(t, billing("a=90 b=10", "a"))

	message := p.reconciled(t, "VirtualService billing 2", metav1.ConditionFalse)
	if !strings.Contains(message, `has a subset "b"`) {
		t.Errorf("message %q", message)
	}

	// The other object cures it.
	p.store.set(t, billing("a=90 b=10", "a", "b"))
	p.reconciled(t, "VirtualService billing 2", metav1.ConditionTrue)
}

func TestWhoDoesNotAnswerIsLetGo(t *testing.T) {
	p := startPlane(t, billing("a=100", "a"), func(c *Config) { c.AckTimeout = 50 * time.Millisecond })
	r := dial(t, p.address, testNode)

	r.ask(Routes, billingRoutes)
	r.receive(Routes)

	if _, err := r.ads.Recv(); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("Recv() = %v, want DEADLINE_EXCEEDED", err)
	}

	eventually(t, "the stream is forgotten", func() bool { return len(p.server.open()) == 0 })
}

func TestNodesSpeakForTheirOwnNamespace(t *testing.T) {
	p := startPlane(t, billing("a=100", "a"), nil)

	for node, want := range map[string]codes.Code{
		"sidecar~127.0.0.1~test.other~other.svc.cluster.local": codes.PermissionDenied,
		"me": codes.InvalidArgument, "": codes.InvalidArgument,
	} {
		r := dial(t, p.address, node)
		r.ask(Routes, billingRoutes)

		if _, err := r.ads.Recv(); status.Code(err) != want {
			t.Errorf("node %q: %v, want %s", node, err, want)
		}
	}

	nobody := startPlane(t, "", func(c *Config) { c.Identity = nil })
	r := dial(t, nobody.address, testNode)
	r.ask(Routes, billingRoutes)

	if _, err := r.ads.Recv(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a certificate: %v", err)
	}
}

// Who leaves a resource and takes it up again waits for it anew, even if it says so in an answer to an old response.
func TestResubscription(t *testing.T) {
	p := startPlane(t, billing("a=100", "a"), nil)
	r := dial(t, p.address, testNode)

	r.ask(Routes, billingRoutes)
	r.take(Routes)
	r.ask(Routes)
	r.ask(Routes, billingRoutes)

	if got := r.receive(Routes); got != 1 {
		t.Errorf("%d routes, want 1", got)
	}

	stale := &discoveryv3.DiscoveryResponse{Nonce: "1"}
	latest := r.last[Routes]
	r.last[Routes] = stale
	r.ask(Routes)
	r.ask(Routes, billingRoutes)
	r.last[Routes] = latest
	r.send(Routes, "")

	if got := r.take(Routes); got != 1 {
		t.Errorf("%d routes, want 1", got)
	}
}

func TestTypesThatAreNotServedAreIgnored(t *testing.T) {
	p := startPlane(t, billing("a=100", "a"), nil)
	r := dial(t, p.address, testNode)

	if err := r.ads.Send(&discoveryv3.DiscoveryRequest{
		Node: &corev3.Node{Id: testNode}, TypeUrl: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
	}); err != nil {
		t.Fatal(err)
	}

	r.ask(Routes, billingRoutes)
	r.take(Routes)
}

func TestEndOfTheServerEndsStreams(t *testing.T) {
	store := newMemory(parse(t, ""))

	server, err := New(Config{Objects: store, Identity: func(context.Context) (string, string, bool) { return "default", "test", true }})
	if err != nil {
		t.Fatal(err)
	}

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	stop := serveOn(t, server, insecure.NewCredentials(), listener)
	r := dial(t, listener.Addr().String(), testNode)
	r.ask(Routes, billingRoutes)
	eventually(t, "the stream is there", func() bool { return len(server.open()) == 1 })
	stop()

	if _, err := r.ads.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("Recv() = %v, want UNAVAILABLE", err)
	}

	if _, err := New(Config{}); err == nil {
		t.Error("New() without objects succeeded")
	}
}
