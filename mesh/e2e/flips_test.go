package e2e_test

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	grpcxds "google.golang.org/grpc/xds"
	networking "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/mesh/e2e/cluster"
)

// bare is a host with two subsets, of one server each, that nothing of Serin has a part in. Its routes have the shape of
// Serin's: anchors keep both clusters known to clients.
const bare = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: bare, namespace: bare}
spec:
  hosts: [bare.example]
  ports: [{number: 9000, name: grpc, protocol: GRPC}]
  location: MESH_INTERNAL
  resolution: STATIC
  endpoints:
    - {address: %[1]s, ports: {grpc: %[2]s}, labels: {side: a}}
    - {address: %[1]s, ports: {grpc: %[3]s}, labels: {side: b}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: bare, namespace: bare}
spec:
  host: bare.example
  trafficPolicy: {tls: {mode: DISABLE}}
  subsets: [{name: a, labels: {side: a}}, {name: b, labels: {side: b}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bare, namespace: bare}
spec:
  hosts: [bare.example]
  http:
    - {name: anchor-a, match: [{headers: {anchor: {exact: a}}}], route: [{destination: {host: bare.example, subset: a}}]}
    - {name: anchor-b, match: [{headers: {anchor: {exact: b}}}], route: [{destination: {host: bare.example, subset: b}}]}
    - name: split
      route:
        - {destination: {host: bare.example, subset: a}, weight: 100}
        - {destination: {host: bare.example, subset: b}, weight: 0}
`

// bareBootstrap is all that a client of grpc-go needs to ask istiod.
const bareBootstrap = `{
  "xds_servers": [{"server_uri": "127.0.0.1:15010", "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
  "node": {"id": "sidecar~10.50.0.1~bare.bare~bare.svc.cluster.local", "metadata": {"GENERATOR": "grpc", "NAMESPACE": "bare", "CLUSTER_ID": "Kubernetes"}}
}`

// flips times, so many times, from the answer to a patch of the weights to the first call of a bare client on the new side.
func (p *platform) flips() durations {
	p.Helper()
	p.must(shared.Namespace(p.Context(), "bare", nil))

	a, b := p.bareServer(), p.bareServer()
	p.must(shared.Apply(p.Context(), fmt.Sprintf(bare, cluster.NodeIP, a, b)))

	conn := p.bareClient()
	p.answeredBy(conn, a)

	took := make(durations, 0, rounds)

	for i := range rounds {
		weight, side := 100, b
		if i%2 == 1 {
			weight, side = 0, a
		}

		flip := fmt.Sprintf(`[{"op":"replace","path":"/spec/http/2/route/0/weight","value":%d},{"op":"replace","path":"/spec/http/2/route/1/weight","value":%d}]`,
			100-weight, weight)
		service := &networking.VirtualService{ObjectMeta: metav1.ObjectMeta{Namespace: "bare", Name: "bare"}}
		p.must(shared.Client.Patch(p.Context(), service, client.RawPatch(types.JSONPatchType, []byte(flip))))

		written := time.Now()

		p.answeredBy(conn, side)

		took = append(took, time.Since(written))
	}

	return took
}

// bareServer serves on the node, and returns its port.
func (p *platform) bareServer() string {
	p.Helper()

	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())

	listener, err := (&net.ListenConfig{}).Listen(p.Context(), "tcp", cluster.NodeIP+":0")
	p.must(err)

	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()

	p.Cleanup(func() {
		server.Stop()

		if err := <-ended; err != nil {
			p.Error(err)
		}
	})

	_, port, err := net.SplitHostPort(listener.Addr().String())
	p.must(err)

	return port
}

func (p *platform) bareClient() *grpc.ClientConn {
	p.Helper()

	resolver, err := grpcxds.NewXDSResolverWithConfigForTesting([]byte(bareBootstrap))
	p.must(err)

	conn, err := grpc.NewClient("xds:///bare.example:9000",
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithResolvers(resolver))
	p.must(err)
	p.Cleanup(func() { _ = conn.Close() })

	return conn
}

// answeredBy calls, one call after the other, until the server with the port answers.
func (p *platform) answeredBy(conn *grpc.ClientConn, port string) {
	p.Helper()

	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var answered peer.Peer

		_, err := grpc_health_v1.NewHealthClient(conn).
			Check(p.Context(), &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true), grpc.Peer(&answered))
		p.must(err)

		if _, side, _ := net.SplitHostPort(answered.Addr.String()); side == port {
			return
		}
	}

	p.Fatalf("no call is answered by the server on port %s, also after %s", port, strconv.FormatFloat(patience.Seconds(), 'f', 0, 64)+" s")
}
