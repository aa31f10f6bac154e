package xds

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	xdscredentials "google.golang.org/grpc/credentials/xds"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	grpcxds "google.golang.org/grpc/xds"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	versioned "istio.io/client-go/pkg/clientset/versioned"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8stypes "k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/identity"
	"github.com/serinhq/serin/mesh/xds/objects"
)

// mesh is everything for real: an authority, a store behind its API, the control plane behind mTLS, and grpc-go's xDS
// servers and clients.
type mesh struct {
	testing.TB

	dir     string
	ca      *identity.CA
	refresh time.Duration // how late proxies notice a new certificate
	address string
	// sent counts the resources that proxies were sent, refused how often they refused any.
	sent, refused atomic.Int64
	// idle says that a test has no proxies.
	idle bool

	mu     sync.Mutex
	api    versioned.Interface
	server *Server
	stop   func()
}

func startMesh(t testing.TB) *mesh {
	t.Helper()

	return startMeshOf(t, identity.CAConfig{}, 0)
}

func startMeshOf(t testing.TB, config identity.CAConfig, refresh time.Duration) *mesh {
	t.Helper()

	m := &mesh{TB: t, dir: t.TempDir(), refresh: refresh}

	ca, err := identity.OpenCA(filepath.Join(m.dir, "ca"), config)
	m.must(err)
	m.ca = ca

	m.start("127.0.0.1:0")
	t.Cleanup(func() {
		m.stop()

		// CSDS sees only the clients of the process's own bootstrap; what tests start in this process have theirs.
		if sent, refused := m.sent.Load(), m.refused.Load(); refused > 0 || sent == 0 && !m.idle {
			t.Errorf("proxies were sent %d resources, and refused some %d times", sent, refused)
		}
	})

	return m
}

func (m *mesh) must(err error) {
	m.Helper()

	if err != nil {
		m.Fatal(err)
	}
}

// start runs the control plane on an address; whatever ran before has been stopped.
func (m *mesh) start(address string) {
	m.Helper()

	ctx, cancel := context.WithCancel(context.Background())

	store, err := objects.Open(objects.Config{Dir: filepath.Join(m.dir, "objects"), Validate: Validate})
	m.must(err)

	server, err := New(Config{Objects: store, Directory: filepath.Join(m.dir, "objects"), Logger: slog.New(slog.NewTextHandler(m.Output(), nil))})
	m.must(err)

	front, err := rpc.NewServer(rpc.ServerConfig{
		Credentials: m.credentials(ctx, "serin-mesh"), StopTimeout: time.Nanosecond,
		Policy: rpc.Policy{"/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources": rpc.AnyWorkload},
	})
	m.must(err)
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(front, counting{server, m})

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	m.must(err)

	api := httptest.NewServer(store.Handler())

	client, err := versioned.NewForConfig(&rest.Config{Host: api.URL, QPS: -1})
	m.must(err)

	ended := make(chan error, 2)
	go func() { ended <- server.Run(ctx) }()
	go func() { ended <- front.Run(ctx, listener) }()

	m.mu.Lock()
	defer m.mu.Unlock()

	m.address, m.api, m.server = listener.Addr().String(), client, server
	m.stop = sync.OnceFunc(func() {
		cancel()
		m.must(<-ended)
		m.must(<-ended)
		api.CloseClientConnections()
		api.Close()
		m.must(store.Close())
	})
}

func (m *mesh) credentials(ctx context.Context, name string) rpc.Credentials {
	m.Helper()

	source, err := identity.Watch(ctx, m.certificate(name), identity.WithPoll(m.refresh))
	m.must(err)

	return rpc.Credentials{SVID: source, Bundle: source}
}

// identify is the identity of a service account, of the namespace default unless it says otherwise: other/billing.
func identify(account string) rpc.Identity {
	namespace, name, ok := strings.Cut(account, "/")
	if !ok {
		namespace, name = "default", account
	}

	return rpc.Identity{TrustDomain: "cluster.local", Namespace: namespace, Name: name}
}

// certificate returns the directory of a service account's certificate.
func (m *mesh) certificate(account string) string {
	m.Helper()

	dir := filepath.Join(m.dir, "certificates", account)
	m.must(m.ca.Issue(dir, identify(account).String(), "127.0.0.1"))

	return dir
}

func (m *mesh) bootstrap(account, workload string) []byte {
	m.Helper()

	data, err := identity.Bootstrap{
		ServerURI: m.address, Directory: m.certificate(account), NodeIP: "127.0.0.1", Workload: workload,
		Identity: identify(account), RefreshInterval: m.refresh,
	}.JSON()
	m.must(err)

	return data
}

// counting is the control plane; it counts what it sends and what is refused.
type counting struct {
	*Server

	mesh *mesh
}

func (c counting) StreamAggregatedResources(ads adsStream) error {
	return c.Server.StreamAggregatedResources(countingStream{ads, c.mesh})
}

type countingStream struct {
	adsStream

	mesh *mesh
}

func (s countingStream) Send(response *discoveryv3.DiscoveryResponse) error {
	s.mesh.sent.Add(int64(len(response.GetResources())))

	return s.adsStream.Send(response)
}

func (s countingStream) Recv() (*discoveryv3.DiscoveryRequest, error) {
	request, err := s.adsStream.Recv()
	if request.GetErrorDetail() != nil {
		s.mesh.refused.Add(1)
	}

	return request, err
}

// apply creates what is in a text, or replaces it.
func (m *mesh) apply(text string) {
	m.Helper()

	snapshot := parse(m, text)

	for _, object := range snapshot.ServiceEntries {
		_, err := m.api.NetworkingV1().ServiceEntries(object.Namespace).Create(m.Context(), object, metav1.CreateOptions{})
		m.must(err)
	}

	for _, object := range snapshot.WorkloadEntries {
		m.putWorkload(object)
	}

	for _, object := range snapshot.DestinationRules {
		m.putRule(object)
	}

	for _, object := range snapshot.VirtualServices {
		m.putRoutes(object)
	}

	for _, object := range snapshot.AuthorizationPolicies {
		m.putPolicy(object)
	}

	for _, object := range snapshot.PeerAuthentications {
		m.putAuthentication(object)
	}
}

// merge is a patch that makes an object say the same.
func (m *mesh) merge(object any) []byte {
	m.Helper()

	text, err := json.Marshal(object)
	m.must(err)

	var parsed map[string]any
	m.must(json.Unmarshal(text, &parsed))

	patch, err := json.Marshal(tree{"spec": parsed["spec"], "metadata": tree{"annotations": parsed["metadata"].(tree)["annotations"]}})
	m.must(err)

	return patch
}

func (m *mesh) putWorkload(object *networkingv1.WorkloadEntry) {
	m.Helper()

	entries := m.api.NetworkingV1().WorkloadEntries(object.Namespace)

	_, err := entries.Create(m.Context(), object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = entries.Patch(m.Context(), object.Name, k8stypes.MergePatchType, m.merge(object), metav1.PatchOptions{})
	}

	m.must(err)
}

// putRule returns once everyone has the rule.
func (m *mesh) putRule(object *networkingv1.DestinationRule) {
	m.Helper()

	rules := m.api.NetworkingV1().DestinationRules(object.Namespace)

	written, err := rules.Create(m.Context(), object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		written, err = rules.Patch(m.Context(), object.Name, k8stypes.MergePatchType, m.merge(object), metav1.PatchOptions{})
	}

	m.must(err)
	eventually(m, "the rule is reconciled", func() bool {
		now, err := rules.Get(m.Context(), object.Name, metav1.GetOptions{})

		return err == nil && now.Generation == written.Generation && reconciled(now)
	})
}

// putRoutes returns once everyone has the routes.
func (m *mesh) putRoutes(object *networkingv1.VirtualService) {
	m.Helper()

	virtuals := m.api.NetworkingV1().VirtualServices(object.Namespace)

	written, err := virtuals.Create(m.Context(), object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		written, err = virtuals.Patch(m.Context(), object.Name, k8stypes.MergePatchType, m.merge(object), metav1.PatchOptions{})
	}

	m.must(err)
	eventually(m, "the routes are reconciled", func() bool {
		now, err := virtuals.Get(m.Context(), object.Name, metav1.GetOptions{})

		return err == nil && now.Generation == written.Generation && reconciled(now)
	})
}

// backend is a server of the mesh.
type backend struct {
	name, address string
	port          int
	serving       chan struct{}
	kill          func()
	// calls counts those that came, failing those that are yet to be answered with UNAVAILABLE.
	calls, failing atomic.Int64
}

// serve starts an echo server under a service account; its WorkloadEntry is the caller's business.
func (m *mesh) serve(name, account string, options ...grpc.ServerOption) *backend {
	m.Helper()

	secured, err := xdscredentials.NewServerCredentials(xdscredentials.ServerOptions{FallbackCreds: insecure.NewCredentials()})
	m.must(err)

	b := &backend{name: name, serving: make(chan struct{})}
	served := sync.OnceFunc(func() { close(b.serving) })

	server, err := grpcxds.NewGRPCServer(append(options, grpc.Creds(secured), grpcxds.BootstrapContentsForTesting(m.bootstrap(account, "billing-"+name)),
		grpcxds.ServingModeCallback(func(_ net.Addr, args grpcxds.ServingModeChangeArgs) {
			if args.Mode == connectivity.ServingModeServing {
				served()
			}
		}))...)
	m.must(err)
	server.RegisterService(b.echoService(), struct{}{})

	listener, err := (&net.ListenConfig{}).Listen(m.Context(), "tcp", "127.0.0.1:0")
	m.must(err)

	b.address, b.port = listener.Addr().String(), listener.Addr().(*net.TCPAddr).Port

	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()

	b.kill = sync.OnceFunc(func() {
		server.Stop()
		<-ended
	})
	m.Cleanup(b.kill)

	return b
}

const echoMethod = "/test.Echo/Call"

// echoService answers with its own name and that of its caller, or not at all if the caller says x-wait. A failure
// comes after the answer's header if the caller says x-header.
func (b *backend) echoService() *grpc.ServiceDesc {
	answer := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		headers, _ := metadata.FromIncomingContext(ctx)
		b.calls.Add(1)

		if len(headers["x-wait"]) > 0 {
			<-ctx.Done()
		}

		if len(headers["x-header"]) > 0 {
			_ = grpc.SetHeader(ctx, metadata.Pairs("x-by", b.name))
		}

		if b.failing.Add(-1) >= 0 {
			return nil, status.Error(codes.Unavailable, "not now")
		}

		return wrapperspb.String(b.name + " " + caller(ctx)), decode(&wrapperspb.StringValue{})
	}

	return &grpc.ServiceDesc{
		ServiceName: "test.Echo", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Call", Handler: answer}},
	}
}

func caller(ctx context.Context) string {
	connection, _ := peer.FromContext(ctx)

	info, ok := connection.AuthInfo.(credentials.TLSInfo)
	if !ok || info.SPIFFEID == nil {
		return "nobody"
	}

	return filepath.Base(info.SPIFFEID.Path)
}

// client dials billing as a service account.
func (m *mesh) client(account string) *grpc.ClientConn {
	m.Helper()

	secured, err := xdscredentials.NewClientCredentials(xdscredentials.ClientOptions{FallbackCreds: insecure.NewCredentials()})
	m.must(err)

	resolver, err := grpcxds.NewXDSResolverWithConfigForTesting(m.bootstrap(account, "client"))
	m.must(err)

	connection, err := grpc.NewClient("xds:///billing.default.svc.cluster.local:9000",
		grpc.WithTransportCredentials(secured), grpc.WithResolvers(resolver))
	m.must(err)
	m.Cleanup(func() { connection.Close() })

	return connection
}

// call returns the name of the server and that of the caller; headers are pairs.
func call(ctx context.Context, connection *grpc.ClientConn, headers ...string) (server, caller string, err error) {
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, headers...), patience)
	defer cancel()

	var answer wrapperspb.StringValue
	if err := connection.Invoke(ctx, echoMethod, wrapperspb.String(""), &answer, grpc.WaitForReady(true)); err != nil {
		return "", "", fmt.Errorf("%v: %w", headers, err)
	}

	server, caller, _ = strings.Cut(answer.GetValue(), " ")

	return server, caller, nil
}

// putPolicy returns once every server has the policy.
func (m *mesh) putPolicy(object *securityv1.AuthorizationPolicy) {
	m.Helper()

	policies := m.api.SecurityV1().AuthorizationPolicies(object.Namespace)

	written, err := policies.Create(m.Context(), object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		before, failed := policies.Get(m.Context(), object.Name, metav1.GetOptions{})
		m.must(failed)

		object.ResourceVersion = before.ResourceVersion // a patch would leave an action in place of the default
		written, err = policies.Update(m.Context(), object, metav1.UpdateOptions{})
	}

	m.must(err)
	eventually(m, "the policy is reconciled", func() bool {
		now, err := policies.Get(m.Context(), object.Name, metav1.GetOptions{})

		return err == nil && now.Generation == written.Generation && reconciled(now)
	})
}

// putAuthentication returns once every server has it.
func (m *mesh) putAuthentication(object *securityv1.PeerAuthentication) {
	m.Helper()

	authentications := m.api.SecurityV1().PeerAuthentications(object.Namespace)

	written, err := authentications.Create(m.Context(), object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		written, err = authentications.Patch(m.Context(), object.Name, k8stypes.MergePatchType, m.merge(object), metav1.PatchOptions{})
	}

	m.must(err)
	eventually(m, "the authentication is reconciled", func() bool {
		now, err := authentications.Get(m.Context(), object.Name, metav1.GetOptions{})

		return err == nil && now.Generation == written.Generation && reconciled(now)
	})
}
