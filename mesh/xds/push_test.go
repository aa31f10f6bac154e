package xds

import (
	"context"
	"slices"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8stypes "k8s.io/apimachinery/pkg/types"

	"github.com/serinhq/serin/internal/rpc"
)

const (
	processes  = 5
	rawStreams = 95
	// pushBar is how long a weight change may take to traffic, in 99 of 100 cases.
	pushBar = 100 * time.Millisecond
)

// A weight change reaches five processes and 95 more streams, and nobody refuses anything. How fast that goes is for
// BenchmarkPush to judge: a test shares its machine with others.
func TestWeightChangeReachesEveryone(t *testing.T) {
	if testing.Short() {
		t.Skip("starts five processes")
	}

	took := measurePush(startMesh(t), 10)
	t.Logf("from the write to the first call, or the message on the stream: median %v, p99 %v, most %v",
		quantile(took, 0.5), quantile(took, 0.99), took[len(took)-1])
}

// BenchmarkPush reports the bar beside what it measures, and fails where no slow machine explains it. Everyone is measured in
// each round, so the slowest of 100 rounds is about what p99 means.
func BenchmarkPush(b *testing.B) {
	took := measurePush(startMesh(b), max(b.N, 100))
	b.ReportMetric(float64(quantile(took, 0.5).Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(quantile(took, 0.99).Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(quantile(took, 0.99))/float64(quantile(took, 0.5)), "p99/p50")
	b.ReportMetric(float64(quantile(took, 0.99))/float64(pushBar), "x-bar")

	if p99 := quantile(took, 0.99); p99 > 5*pushBar {
		b.Errorf("p99 %v, must be at most %v", p99, pushBar)
	}
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(q*float64(len(sorted)-1))]
}

// measurePush moves all traffic from one process to the other and back, and returns how long everyone took each time.
func measurePush(m *mesh, rounds int) []time.Duration {
	m.Helper()
	m.two()
	m.apply(subsets("a", "b") + split("a=100 b=0"))

	clients := make([]*process, processes)
	for i := range clients {
		clients[i] = m.process("gateway")
		_, err := clients[i].answered("a")
		m.must(err)
	}

	received := make(chan time.Time, rawStreams)
	for range rawStreams {
		m.watch(received)
	}

	for range rawStreams {
		<-received
	}

	var took []time.Duration

	for round := range rounds {
		server, weights := "b", "a=0 b=100"
		if round%2 == 1 {
			server, weights = "a", "a=100 b=0"
		}

		start := m.write(weights)

		for range rawStreams {
			took = append(took, (<-received).Sub(start))
		}

		for _, client := range clients {
			at, err := client.answered(server)
			m.must(err)

			took = append(took, at.Sub(start))
		}
	}

	for _, client := range clients {
		last, err := client.end()
		m.must(err)

		if last != "refused 0" {
			m.Errorf("a client says: %s", last)
		}
	}

	slices.Sort(took)

	return took
}

// write changes the weights, and returns when it began to.
func (m *mesh) write(weights string) time.Time {
	m.Helper()

	virtuals := m.api.NetworkingV1().VirtualServices("default")
	object := parse(m, split(weights)).VirtualServices[0]

	start := time.Now()
	_, err := virtuals.Patch(m.Context(), "billing", k8stypes.MergePatchType, m.merge(object), metav1.PatchOptions{})
	m.must(err)

	return start
}

// watch opens a stream that asks for what a client asks for, and says when it gets routes.
func (m *mesh) watch(received chan<- time.Time) {
	m.Helper()

	own := rpc.Identity{TrustDomain: "cluster.local", Namespace: "default", Name: "serin-mesh"}
	security := m.credentials(m.Context(), "watcher").ClientTLS(own)

	connection, err := grpc.NewClient(m.address, grpc.WithTransportCredentials(credentials.NewTLS(security)))
	m.must(err)
	m.Cleanup(func() { connection.Close() })

	ctx, cancel := context.WithCancel(context.Background())
	m.Cleanup(cancel)

	ads, err := discoveryv3.NewAggregatedDiscoveryServiceClient(connection).StreamAggregatedResources(ctx)
	m.must(err)

	names := map[Type][]string{
		Listener: {"billing.default.svc.cluster.local:9000"}, Routes: {billingRoutes},
		Cluster: {clusterA, clusterB}, Endpoints: {clusterA, clusterB},
	}

	for kind, names := range names {
		m.must(ads.Send(&discoveryv3.DiscoveryRequest{Node: &corev3.Node{Id: testNode}, TypeUrl: kind.URL(), ResourceNames: names}))
	}

	go func() {
		for {
			response, err := ads.Recv()
			if err != nil {
				return
			}

			kind, _ := typeOf(response.GetTypeUrl())
			if kind == Routes {
				received <- time.Now()
			}

			_ = ads.Send(&discoveryv3.DiscoveryRequest{
				TypeUrl: response.GetTypeUrl(), ResourceNames: names[kind], ResponseNonce: response.GetNonce(), VersionInfo: response.GetVersionInfo(),
			})
		}
	}()
}
