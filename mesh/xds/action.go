package xds

import (
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"
)

// action says where a route leads, for how long, and how often it is tried.
func (r *router) action(route *networking.HTTPRoute, namespace string) *routev3.RouteAction {
	action := &routev3.RouteAction{RetryPolicy: retryPolicy(route.GetRetries())}

	if timeout := route.GetTimeout(); timeout.AsDuration() > 0 {
		action.MaxStreamDuration = &routev3.RouteAction_MaxStreamDuration{MaxStreamDuration: timeout}
	}

	weighted := &routev3.WeightedCluster{}
	action.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: weighted}

	for _, destination := range route.GetRoute() {
		weight := weightOf(destination, len(route.GetRoute()))
		if weight == 0 {
			continue // clients drop it as well; what keeps its cluster known to them is another route
		}

		cluster, hash := r.target(destination.GetDestination(), namespace)
		weighted.Clusters = append(weighted.Clusters, &routev3.WeightedCluster_ClusterWeight{
			Name: cluster, Weight: wrapperspb.UInt32(weight),
		})
		r.needs[cluster] = true

		if hash != "" {
			action.HashPolicy = appendHash(action.GetHashPolicy(), hash)
		}
	}

	return action
}

// weightOf: a lone destination gets everything.
func weightOf(destination *networking.HTTPRouteDestination, of int) uint32 {
	if of == 1 {
		return 100
	}

	return uint32(destination.GetWeight()) //nolint:gosec // checked: not negative
}

// target is the cluster of a destination, and the header that requests to it are hashed by.
func (r *router) target(destination *networking.Destination, namespace string) (cluster, hash string) {
	host := qualify(destination.GetHost(), namespace)
	port := r.port

	if destination.GetPort() != nil {
		port = destination.GetPort().GetNumber()
	} else if other := r.model.services[host]; other != nil && other.port(port) == nil && other.port(0) != nil {
		port = other.port(0).GetNumber()
	}

	return clusterName(host, port, destination.GetSubset()),
		effective(r.model.rule(host), destination.GetSubset(), port).hashHeader()
}

func appendHash(policies []*routev3.RouteAction_HashPolicy, header string) []*routev3.RouteAction_HashPolicy {
	known := func(policy *routev3.RouteAction_HashPolicy) bool { return policy.GetHeader().GetHeaderName() == header }
	if slices.ContainsFunc(policies, known) {
		return policies
	}

	return append(policies, &routev3.RouteAction_HashPolicy{
		PolicySpecifier: &routev3.RouteAction_HashPolicy_Header_{
			Header: &routev3.RouteAction_HashPolicy_Header{HeaderName: strings.ToLower(header)},
		},
	})
}

// retryPolicy: as in Istio, a call is tried twice more unless the route says otherwise.
func retryPolicy(retries *networking.HTTPRetry) *routev3.RetryPolicy {
	policy := &routev3.RetryPolicy{RetryOn: "cancelled,unavailable", NumRetries: wrapperspb.UInt32(2)}
	if retries == nil {
		return policy
	}

	if retries.GetAttempts() == 0 {
		return nil
	}

	policy.NumRetries = wrapperspb.UInt32(uint32(retries.GetAttempts())) //nolint:gosec // checked: not negative

	if retries.GetRetryOn() != "" {
		policy.RetryOn = retries.GetRetryOn()
	}

	if backoff := retries.GetBackoff(); backoff != nil {
		policy.RetryBackOff = &routev3.RetryPolicy_RetryBackOff{BaseInterval: backoff}
	}

	return policy
}
