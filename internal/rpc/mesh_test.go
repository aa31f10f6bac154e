package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	managerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/xds/csds"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
	"github.com/serinhq/serin/mesh/identity"
)

// rootVariable names the directory where the test process finds its authority and the control plane's socket.
const rootVariable = "SERIN_RPC_TEST_ROOT"

// self is who the test process is in the mesh.
const self = rpc.Gateway

// runInMesh runs the tests in a process that begins with a bootstrap: grpc-go reads it when it starts, and only then.
func runInMesh() int {
	root, err := os.MkdirTemp("", "rpc")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(root)

	child := exec.Command(os.Args[0], os.Args[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.Env = append(os.Environ(), rootVariable+"="+root, "GRPC_XDS_BOOTSTRAP="+prepare(root))

	if err := child.Run(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return exit.ExitCode()
		}

		panic(err)
	}

	return 0
}

// prepare makes the test process's certificate and bootstrap.
func prepare(root string) string {
	authority, err := identity.OpenCA(filepath.Join(root, "ca"), identity.CAConfig{})
	if err != nil {
		panic(err)
	}

	own := rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: rpctest.Namespace, Name: self}
	if err := authority.Issue(filepath.Join(root, self), own.String()); err != nil {
		panic(err)
	}

	data, err := identity.Bootstrap{
		ServerURI: "unix:" + filepath.Join(root, "ads.sock"), Directory: filepath.Join(root, self),
		Identity: own, NodeIP: "127.0.0.1", Workload: self,
	}.JSON()
	if err != nil {
		panic(err)
	}

	path := filepath.Join(root, "bootstrap.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		panic(err)
	}

	return path
}

// plane is a tiny control plane: it serves what it is told.
type plane struct {
	t         *testing.T
	root      string
	authority *identity.CA
	cache     cache.SnapshotCache
	server    *grpc.Server
	version   int
	resources map[resource.Type]map[string]types.Resource
	// taken is how many resources clients and servers had when they ended.
	taken int
}

func newPlane(t *testing.T) *plane {
	t.Helper()

	p := &plane{
		t: t, root: os.Getenv(rootVariable), cache: cache.NewSnapshotCache(false, oneNode{}, nil),
		resources: map[resource.Type]map[string]types.Resource{},
	}

	var err error
	if p.authority, err = identity.OpenCA(filepath.Join(p.root, "ca"), identity.CAConfig{}); err != nil {
		t.Fatal(err)
	}

	p.start()
	t.Cleanup(func() {
		p.server.Stop()

		if p.taken == 0 {
			t.Error("nobody took anything of the mesh")
		}
	})

	return p
}

// look asks grpc-go what the process has of the mesh by now. It must not have refused any.
func (p *plane) look() {
	p.t.Helper()

	status, err := csds.NewClientStatusDiscoveryServer()
	if err != nil {
		p.t.Fatal(err)
	}
	defer status.Close()

	answer, err := status.FetchClientStatus(context.Background(), &statusv3.ClientStatusRequest{})
	if err != nil {
		p.t.Fatal(err)
	}

	taken, refused := rpctest.MeshStatus(answer)
	p.taken += taken

	if len(refused) > 0 {
		p.t.Errorf("refused: %v", refused)
	}
}

// oneNode gives every node the same.
type oneNode struct{}

func (oneNode) ID(*corev3.Node) string { return "everyone" }

func (p *plane) start() {
	p.t.Helper()

	socket := filepath.Join(p.root, "ads.sock")
	_ = os.Remove(socket)

	listener, err := net.Listen("unix", socket)
	if err != nil {
		p.t.Fatal(err)
	}

	p.server = grpc.NewServer(grpc.Creds(credentials.NewTLS(p.credentials(rpc.Mesh, "localhost").ServerTLS(nil))))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(p.server, server.NewServer(context.Background(), p.cache, nil))

	go func(server *grpc.Server) { _ = server.Serve(listener) }(p.server)
}

// credentials issues a certificate of the authority that the test process trusts.
func (p *plane) credentials(name string, hosts ...string) rpc.Credentials {
	p.t.Helper()

	return p.credentialsIn(name, rpctest.Identity(p.t, name).String(), hosts...)
}

func (p *plane) credentialsIn(folder, uri string, hosts ...string) rpc.Credentials {
	p.t.Helper()

	dir := filepath.Join(p.t.TempDir(), folder)
	if err := p.authority.Issue(dir, uri, hosts...); err != nil {
		p.t.Fatal(err)
	}

	source, err := identity.Watch(p.t.Context(), dir)
	if err != nil {
		p.t.Fatal(err)
	}

	return rpc.Credentials{SVID: source, Bundle: source}
}

// serve makes the resources the current ones, beside those of other names.
func (p *plane) serve(resources ...types.Resource) {
	p.t.Helper()

	for _, item := range resources {
		kind := kindOf(item)
		if p.resources[kind] == nil {
			p.resources[kind] = map[string]types.Resource{}
		}

		p.resources[kind][cache.GetResourceName(item)] = item
	}

	p.push()
}

func kindOf(item types.Resource) resource.Type {
	return resource.APITypePrefix + string(item.ProtoReflect().Descriptor().FullName())
}

// withdraw takes a resource away.
func (p *plane) withdraw(kind resource.Type, name string) {
	p.t.Helper()
	delete(p.resources[kind], name)
	p.push()
}

func (p *plane) push() {
	p.t.Helper()
	p.version++

	all := map[resource.Type][]types.Resource{}
	for kind, byName := range p.resources {
		all[kind] = slices.Collect(maps.Values(byName))
	}

	snapshot, err := cache.NewSnapshot(strconv.Itoa(p.version), all)
	if err != nil {
		p.t.Fatal(err)
	}

	if err := p.cache.SetSnapshot(p.t.Context(), "everyone", snapshot); err != nil {
		p.t.Fatal(err)
	}
}

// dial connects to a service of the mesh as the test process.
func (p *plane) dial(service string, change ...func(*rpc.ClientConfig)) *grpc.ClientConn {
	p.t.Helper()

	config := rpc.ClientConfig{Credentials: p.credentials(self)}
	for _, change := range change {
		change(&config)
	}

	connection, err := rpc.Dial(rpc.Target(rpctest.Namespace, service), rpctest.Identity(p.t, service), config)
	if err != nil {
		p.t.Fatal(err)
	}

	p.t.Cleanup(func() {
		p.look()

		_ = connection.Close()
	})

	return connection
}

// backend serves without the mesh, under any identity.
func (p *plane) backend(name string, policy rpc.Policy, register func(grpc.ServiceRegistrar)) *rpctest.Rig {
	p.t.Helper()

	return rpctest.StartConfig(p.t, name, rpc.ServerConfig{Credentials: p.credentials(name), Policy: policy}, register)
}

func packed(message proto.Message) *anypb.Any {
	packed, err := anypb.New(message)
	if err != nil {
		panic(err)
	}

	return packed
}

func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}
}

func filters(before ...*managerv3.HttpFilter) []*managerv3.HttpFilter {
	return append(before, filter("router", &routerv3.Router{}))
}

func filter(name string, config proto.Message) *managerv3.HttpFilter {
	return &managerv3.HttpFilter{Name: name, ConfigType: &managerv3.HttpFilter_TypedConfig{TypedConfig: packed(config)}}
}

func target(service string) string {
	return rpc.Host(rpctest.Namespace, service) + ":" + rpc.ServicePort
}

// outbound is a service as its clients see it.
func outbound(service string, before ...*managerv3.HttpFilter) *listenerv3.Listener {
	return &listenerv3.Listener{
		Name: target(service),
		ApiListener: &listenerv3.ApiListener{ApiListener: packed(&managerv3.HttpConnectionManager{
			RouteSpecifier: &managerv3.HttpConnectionManager_Rds{
				Rds: &managerv3.Rds{ConfigSource: ads(), RouteConfigName: "outbound|" + service},
			},
			HttpFilters: filters(before...),
		})},
	}
}

// routes are a service's; the first that matches counts.
func routes(service string, list ...*routev3.Route) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{
		Name: "outbound|" + service, VirtualHosts: []*routev3.VirtualHost{{Name: service, Domains: []string{"*"}, Routes: list}},
	}
}

// to routes all calls to a cluster; with a revision only those that ask for it. As in Istio and mesh/xds, a call is tried
// twice more unless the route says otherwise.
func to(cluster, revision string) *routev3.Route {
	match := &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}

	if revision != "" {
		match.Headers = []*routev3.HeaderMatcher{{
			Name: "serin-revision",
			HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
				MatchPattern: &matcherv3.StringMatcher_Exact{Exact: revision},
			}},
		}}
	}

	return &routev3.Route{
		Match: match,
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster},
			RetryPolicy:      &routev3.RetryPolicy{RetryOn: "cancelled,unavailable", NumRetries: wrapperspb.UInt32(2)},
		}},
	}
}

// once is a route that says attempts: 0, as those of Serin's own services do.
func once(route *routev3.Route) *routev3.Route {
	route.GetRoute().RetryPolicy = nil

	return route
}

func provider() *tlsv3.CertificateProviderPluginInstance {
	return &tlsv3.CertificateProviderPluginInstance{InstanceName: "default"}
}

// cluster is secured by mutual TLS with servers of one identity; without one it is not secured at all.
func cluster(t *testing.T, name, identity string) *clusterv3.Cluster {
	t.Helper()

	made := &clusterv3.Cluster{
		Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads()},
	}
	if identity == "" {
		return made
	}

	made.TransportSocket = &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed(&tlsv3.UpstreamTlsContext{
			CommonTlsContext: &tlsv3.CommonTlsContext{
				TlsCertificateProviderInstance: provider(),
				ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{
					ValidationContext: &tlsv3.CertificateValidationContext{
						CaCertificateProviderInstance: provider(),
						MatchSubjectAltNames: []*matcherv3.StringMatcher{{ //nolint:staticcheck // grpc-go reads no other field
							MatchPattern: &matcherv3.StringMatcher_Exact{Exact: rpctest.Identity(t, identity).String()},
						}},
					},
				},
			},
		})},
	}

	return made
}

// endpoints are a cluster's servers; it may have none.
func endpoints(cluster string, addresses ...string) *endpointv3.ClusterLoadAssignment {
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: cluster}
	if len(addresses) == 0 {
		return assignment
	}

	locality := &endpointv3.LocalityLbEndpoints{
		Locality: &corev3.Locality{Zone: "here"}, LoadBalancingWeight: wrapperspb.UInt32(1),
	}
	for _, address := range addresses {
		locality.LbEndpoints = append(locality.LbEndpoints, &endpointv3.LbEndpoint{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socket(address)}},
		})
	}

	assignment.Endpoints = []*endpointv3.LocalityLbEndpoints{locality}

	return assignment
}

func socket(address string) *corev3.Address {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		panic(err)
	}

	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		panic(err)
	}

	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(number)},
	}}}
}

func inboundName(address string) string { return "xds.istio.io/grpc/lds/inbound/" + address }

// inbound is a server as it sees itself; unsecured ones are what a server must refuse to be.
func inbound(address string, secured bool) *listenerv3.Listener {
	chain := &listenerv3.FilterChain{
		Name: "all",
		Filters: []*listenerv3.Filter{{
			Name: "http",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(&managerv3.HttpConnectionManager{
				RouteSpecifier: &managerv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
					Name: "inbound",
					VirtualHosts: []*routev3.VirtualHost{{Domains: []string{"*"}, Routes: []*routev3.Route{{
						Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
						Action: &routev3.Route_NonForwardingAction{NonForwardingAction: &routev3.NonForwardingAction{}},
					}}}},
				}},
				HttpFilters: filters(),
			})},
		}},
	}

	if secured {
		chain.TransportSocket = &corev3.TransportSocket{
			Name: "envoy.transport_sockets.tls",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed(&tlsv3.DownstreamTlsContext{
				RequireClientCertificate: wrapperspb.Bool(true),
				CommonTlsContext: &tlsv3.CommonTlsContext{
					TlsCertificateProviderInstance: provider(),
					ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{
						ValidationContext: &tlsv3.CertificateValidationContext{CaCertificateProviderInstance: provider()},
					},
				},
			})},
		}
	}

	return &listenerv3.Listener{
		Name: inboundName(address), Address: socket(address), FilterChains: []*listenerv3.FilterChain{chain},
	}
}

// simple is a service with one cluster that nobody wrote routes for.
func (p *plane) simple(service, identity string, addresses ...string) {
	p.t.Helper()

	name := fmt.Sprintf("outbound|9000||%s", service)
	p.serve(outbound(service), routes(service, to(name, "")), cluster(p.t, name, identity), endpoints(name, addresses...))
}

// simpleOnce is a service with one cluster, whose routes try each call once.
func (p *plane) simpleOnce(service, identity string, addresses ...string) {
	p.t.Helper()
	p.simple(service, identity, addresses...)
	p.serve(routes(service, once(to("outbound|9000||"+service, ""))))
}
