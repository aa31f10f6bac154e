package xds

import (
	"math"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"
)

// clusters makes one for each port and subset of a service, and one for each whole port.
func (t *translator) clusters(service *service) []made {
	names := t.servers(service)
	key := "clusters;" + service.host + ";" + stamp(service.entry) + ruleStamp(service.rule) + strings.Join(names, ",")

	return t.made.get(key, func() []made {
		var unit []made

		service.each(func(port *networking.ServicePort, subset string) {
			unit = append(unit, made{Cluster, cluster(service, port.GetNumber(), subset, names)})
		})

		return unit
	})
}

// each visits every port with the empty subset, which means all, and every other.
func (s *service) each(visit func(port *networking.ServicePort, subset string)) {
	for _, port := range s.entry.Spec.GetPorts() {
		visit(port, "")

		if s.rule == nil {
			continue
		}

		for _, subset := range s.rule.Spec.GetSubsets() {
			visit(port, subset.GetName())
		}
	}
}

// servers are the SPIFFE IDs that a server of this service may prove to be.
func (t *translator) servers(service *service) []string {
	names := slices.Clone(service.entry.Spec.GetSubjectAltNames())

	for _, workload := range service.workloads {
		if account := workload.Spec.GetServiceAccount(); account != "" {
			names = append(names, t.options.spiffe(workload.GetNamespace(), account))
		}
	}

	slices.Sort(names)

	return slices.Compact(names)
}

func (o Options) spiffe(namespace, account string) string {
	return "spiffe://" + o.TrustDomain + "/ns/" + namespace + "/sa/" + account
}

func cluster(service *service, port uint32, subset string, names []string) *Resource {
	name := clusterName(service.host, port, subset)
	policy := effective(service.rule, subset, port)
	translated := &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads(), ServiceName: name},
		CircuitBreakers:      circuitBreakers(policy.pool),
	}
	balance(translated, policy)

	// A service without a word about TLS gets it.
	if policy.tls == nil || policy.tls.GetMode() == networking.ClientTLSSettings_ISTIO_MUTUAL {
		translated.TransportSocket = upstreamTLS(names)
	}

	return seal(name, translated, ruleOrigins(service)...)
}

func ruleOrigins(service *service) []Ref {
	origins := []Ref{refOf(service.entry)}
	if service.rule != nil {
		origins = append(origins, refOf(service.rule))
	}

	return origins
}

func balance(cluster *clusterv3.Cluster, policy *settings) {
	if policy.hashHeader() == "" {
		cluster.LbPolicy = clusterv3.Cluster_ROUND_ROBIN

		return
	}

	ring := &clusterv3.Cluster_RingHashLbConfig{HashFunction: clusterv3.Cluster_RingHashLbConfig_XX_HASH}
	if size := ringSize(policy.balancer.GetConsistentHash()); size > 0 {
		ring.MinimumRingSize = wrapperspb.UInt64(size)
	}

	cluster.LbPolicy = clusterv3.Cluster_RING_HASH
	cluster.LbConfig = &clusterv3.Cluster_RingHashLbConfig_{RingHashLbConfig: ring}
}

// circuitBreakers limits the requests that a client holds open. Without a word about that there is no limit, as there is none
// for a sidecar: left out, clients would take 1,024 (gRFC A32), and no more users could follow their conversations.
func circuitBreakers(pool *networking.ConnectionPoolSettings) *clusterv3.CircuitBreakers {
	most := uint32(math.MaxUint32)
	if limit := pool.GetHttp().GetHttp2MaxRequests(); limit > 0 {
		most = uint32(limit)
	}

	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		Priority: corev3.RoutingPriority_DEFAULT, MaxRequests: wrapperspb.UInt32(most),
	}}}
}
