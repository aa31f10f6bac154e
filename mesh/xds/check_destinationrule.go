package xds

import (
	"fmt"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
)

// maxRing is the largest ring that grpc-go accepts.
const maxRing = 8 << 20

func checkDestinationRule(spec *networking.DestinationRule, found *problems) {
	checkHost(spec.GetHost(), "spec.host", found)
	checkExportTo(spec.GetExportTo(), found)
	checkPolicies(spec.GetTrafficPolicy(), "spec.trafficPolicy", found)

	seen := map[string]bool{}

	for i, subset := range spec.GetSubsets() {
		path := fmt.Sprintf("spec.subsets[%d]", i)

		if subset.GetName() == "" || strings.Contains(subset.GetName(), "|") {
			found.add(path+".name", "%q must be a name", subset.GetName())
		}

		if seen[subset.GetName()] {
			found.add(path+".name", "%q is there already", subset.GetName())
		}

		seen[subset.GetName()] = true

		checkPolicies(subset.GetTrafficPolicy(), path+".trafficPolicy", found)
	}
}

// policy is what a traffic policy and that of one port have in common.
type policy interface {
	GetLoadBalancer() *networking.LoadBalancerSettings
	GetConnectionPool() *networking.ConnectionPoolSettings
	GetTls() *networking.ClientTLSSettings
}

func checkPolicies(traffic *networking.TrafficPolicy, path string, found *problems) {
	checkPolicy(traffic, path, found)

	for i, port := range traffic.GetPortLevelSettings() {
		at := fmt.Sprintf("%s.portLevelSettings[%d]", path, i)
		checkPortNumber(port.GetPort().GetNumber(), at+".port.number", found)
		checkPolicy(port, at, found)
	}
}

func checkPolicy(policy policy, path string, found *problems) {
	checkLoadBalancer(policy.GetLoadBalancer(), path+".loadBalancer", found)

	if limit := policy.GetConnectionPool().GetHttp().GetHttp2MaxRequests(); limit < 0 {
		found.add(path+".connectionPool.http.http2MaxRequests", "%d must not be negative", limit)
	}

	if tls := policy.GetTls(); tls != nil {
		switch tls.GetMode() { //nolint:exhaustive // the others are refused
		case networking.ClientTLSSettings_ISTIO_MUTUAL, networking.ClientTLSSettings_DISABLE:
		default:
			found.add(path+".tls.mode", "%s is not supported: proxyless gRPC knows ISTIO_MUTUAL and DISABLE", tls.GetMode())
		}
	}
}

func checkLoadBalancer(settings *networking.LoadBalancerSettings, path string, found *problems) {
	switch settings.GetSimple() { //nolint:exhaustive // the others are refused
	case networking.LoadBalancerSettings_UNSPECIFIED, networking.LoadBalancerSettings_ROUND_ROBIN:
	default:
		found.add(path+".simple", "%s is not supported: proxyless gRPC takes ROUND_ROBIN or consistentHash", settings.GetSimple())
	}

	hash := settings.GetConsistentHash()
	if hash == nil {
		return
	}

	if _, header := hash.GetHashKey().(*networking.LoadBalancerSettings_ConsistentHashLB_HttpHeaderName); header || hash.GetHashKey() == nil {
		checkHeaderName(hash.GetHttpHeaderName(), path+".consistentHash.httpHeaderName", found)
	}

	if size := ringSize(hash); size > maxRing {
		found.add(path+".consistentHash.ringHash.minimumRingSize", "%d must be at most %d", size, maxRing)
	}
}

// ringSize is 0 if the rule leaves it open.
func ringSize(hash *networking.LoadBalancerSettings_ConsistentHashLB) uint64 {
	if size := hash.GetRingHash().GetMinimumRingSize(); size > 0 {
		return size
	}

	return hash.GetMinimumRingSize() //nolint:staticcheck // deprecated, but still written
}

func checkPortNumber(port uint32, path string, found *problems) {
	if port == 0 || port > 65535 {
		found.add(path, "%d must be a port, from 1 to 65535", port)
	}
}
