package lint

import (
	"fmt"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
)

const (
	// maxRing is the largest ring that grpc-go accepts.
	maxRing = 8 << 20

	noPool      = "proxyless clients limit nothing but http.http2MaxRequests"
	noRandom    = "without a header to hash proxyless clients pick an endpoint at random; write httpHeaderName"
	noWarmup    = "proxyless clients warm nothing up; move the weights in steps"
	noFiles     = "proxyless clients take keys and authorities from their bootstrap alone"
	noTunnel    = "proxyless clients open no tunnels"
	noBudget    = "proxyless clients have no retry budget; Serin's own clients have one"
	noEjection  = "proxyless clients eject no endpoint; Serin aborts a candidate that fails, and readiness takes an endpoint out"
	onlyFailure = "proxyless clients eject no endpoint; beside localityLbSetting it does no more than turn failover on"
)

func destinationRules() table {
	return table{
		alias: strings.NewReplacer(
			"subsets.trafficPolicy.portLevelSettings.", "policy.", "trafficPolicy.portLevelSettings.", "policy.",
			"subsets.trafficPolicy.", "policy.", "trafficPolicy.", "policy.",
		),
		rules: map[string]rule{
			"host": works, "exportTo": works, "workloadSelector": works, "workloadSelector.matchLabels": works,
			"subsets": works, "subsets.name": works, "subsets.labels": works,
			"trafficPolicy": works, "subsets.trafficPolicy": works,

			"policy.portLevelSettings": works, "policy.port": works, "policy.port.number": works,
			"policy.loadBalancer": works, "policy.connectionPool": works, "policy.tls": works,
			"policy.outlierDetection": ejection,
			"policy.tunnel":           ignored(noTunnel), "policy.proxyProtocol": ignored(noTunnel), "policy.retryBudget": ignored(noBudget),

			"policy.loadBalancer.simple": unless(verdict{Ignored, "istiod does not send it; proxyless clients take turns (ROUND_ROBIN)"},
				"UNSPECIFIED", "ROUND_ROBIN", "LEAST_REQUEST"),
			"policy.loadBalancer.warmup": ignored(noWarmup), "policy.loadBalancer.warmupDurationSecs": ignored(noWarmup),
			"policy.loadBalancer.localityLbSetting": works, "policy.loadBalancer.localityLbSetting.distribute": works,
			"policy.loadBalancer.localityLbSetting.distribute.from": works, "policy.loadBalancer.localityLbSetting.distribute.to": works,
			"policy.loadBalancer.localityLbSetting.failover": works, "policy.loadBalancer.localityLbSetting.failover.from": works,
			"policy.loadBalancer.localityLbSetting.failover.to": works, "policy.loadBalancer.localityLbSetting.failoverPriority": works,
			"policy.loadBalancer.localityLbSetting.enabled": works,
			"policy.loadBalancer.zoneAwareLbSetting":        ignored("istiod does not send it to proxyless clients; write localityLbSetting"),

			"policy.loadBalancer.consistentHash": works, "policy.loadBalancer.consistentHash.httpHeaderName": works,
			"policy.loadBalancer.consistentHash.httpCookie":             ignored(noRandom),
			"policy.loadBalancer.consistentHash.useSourceIp":            ignored(noRandom),
			"policy.loadBalancer.consistentHash.httpQueryParameterName": ignored(noRandom),
			"policy.loadBalancer.consistentHash.maglev": refused("proxyless clients refuse (NACK) the whole cluster because of it; " +
				"write ringHash"),
			"policy.loadBalancer.consistentHash.ringHash":                 works,
			"policy.loadBalancer.consistentHash.ringHash.minimumRingSize": ring,
			"policy.loadBalancer.consistentHash.minimumRingSize":          ring,

			"policy.connectionPool.tcp": ignored(noPool), "policy.connectionPool.http": works,
			"policy.connectionPool.http.http2MaxRequests":         works,
			"policy.connectionPool.http.http1MaxPendingRequests":  ignored(noPool),
			"policy.connectionPool.http.maxRequestsPerConnection": ignored(noPool),
			"policy.connectionPool.http.maxRetries":               ignored(noPool),
			"policy.connectionPool.http.idleTimeout":              ignored(noPool),
			"policy.connectionPool.http.h2UpgradePolicy":          ignored(noPool),
			"policy.connectionPool.http.useClientProtocol":        ignored(noPool),
			"policy.connectionPool.http.maxConcurrentStreams":     ignored(noPool),
			"policy.connectionPool.http.http2KeepAlive":           ignored(noPool),

			"policy.tls.mode": unless(verdict{Refused, "istiod does not send it, and proxyless clients call without TLS; write ISTIO_MUTUAL"},
				"DISABLE", "ISTIO_MUTUAL"),
			"policy.tls.clientCertificate": ignored(noFiles), "policy.tls.privateKey": ignored(noFiles),
			"policy.tls.caCertificates": ignored(noFiles), "policy.tls.credentialName": ignored(noFiles),
			"policy.tls.subjectAltNames": ignored(noFiles), "policy.tls.sni": ignored(noFiles),
			"policy.tls.insecureSkipVerify": ignored(noFiles), "policy.tls.caCrl": ignored(noFiles),
		},
	}
}

// ejection: istiod sends no outlier detection, but fails localities over only where there is some.
func ejection(p place) verdict {
	balancer := p.parent.Descriptor().Fields().ByName("load_balancer")

	settings, ok := p.parent.Get(balancer).Message().Interface().(*networking.LoadBalancerSettings)
	if ok && settings.GetLocalityLbSetting() != nil {
		return verdict{Risky, onlyFailure}
	}

	return verdict{Ignored, noEjection}
}

func ring(p place) verdict {
	if p.value.Uint() <= maxRing {
		return verdict{}
	}

	return verdict{Refused, fmt.Sprintf("proxyless clients refuse (NACK) the whole cluster because of it; write at most %d", maxRing)}
}

// judgePlaintext: Istio's automatic mTLS is Envoy's alone.
func judgePlaintext(spec *networking.DestinationRule, r *report) {
	if secured(spec.GetTrafficPolicy()) {
		return
	}

	open := len(spec.GetSubsets()) == 0
	for _, subset := range spec.GetSubsets() {
		open = open || !secured(subset.GetTrafficPolicy())
	}

	if open {
		r.add("spec.trafficPolicy.tls.mode", "", verdict{Risky, "it is not set: proxyless clients know no automatic mTLS and call in plaintext, " +
			"which servers with STRICT mTLS refuse; write ISTIO_MUTUAL, or DISABLE if plaintext is meant"})
	}
}

func secured(policy *networking.TrafficPolicy) bool {
	if policy.GetTls() != nil {
		return true
	}

	for _, port := range policy.GetPortLevelSettings() {
		if port.GetTls() == nil {
			return false
		}
	}

	return len(policy.GetPortLevelSettings()) > 0
}
