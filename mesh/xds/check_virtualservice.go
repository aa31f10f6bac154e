package xds

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"
	networking "istio.io/api/networking/v1alpha3"
)

// meshGateway stands for everyone in the mesh, which is all that there is here.
const meshGateway = "mesh"

func checkVirtualService(spec *networking.VirtualService, found *problems) {
	checkHosts(spec.GetHosts(), found)
	checkGateways(spec.GetGateways(), "spec.gateways", found)
	checkExportTo(spec.GetExportTo(), found)

	if len(spec.GetHttp()) == 0 {
		found.add("spec.http", "must hold at least one route")
	}

	for i, route := range spec.GetHttp() {
		checkRoute(route, fmt.Sprintf("spec.http[%d]", i), found)
	}
}

func checkHosts(hosts []string, found *problems) {
	if len(hosts) == 0 {
		found.add("spec.hosts", "must name at least one host")
	}

	for i, host := range hosts {
		checkHost(host, fmt.Sprintf("spec.hosts[%d]", i), found)
	}
}

func checkHost(host, path string, found *problems) {
	if host == "" || strings.ContainsAny(host, "*|/: \t\n") {
		found.add(path, "%q must be the name of one host, such as billing.default.%s", host, Domain)
	}
}

func checkGateways(gateways []string, path string, found *problems) {
	if len(gateways) > 0 && !slices.Contains(gateways, meshGateway) {
		found.add(path, "must contain %q, or nothing of this would apply: there are no gateways on one machine", meshGateway)
	}
}

func checkExportTo(exportTo []string, found *problems) {
	for i, namespace := range exportTo {
		if namespace != "*" {
			found.add(fmt.Sprintf("spec.exportTo[%d]", i), "%q is not supported on one machine: everyone sees everything; write \"*\"", namespace)
		}
	}
}

func checkRoute(route *networking.HTTPRoute, path string, found *problems) {
	for i, match := range route.GetMatch() {
		checkMatch(match, fmt.Sprintf("%s.match[%d]", path, i), found)
	}

	checkDestinations(route.GetRoute(), path+".route", found)
	checkDuration(route.GetTimeout(), false, path+".timeout", found)
	checkRetries(route.GetRetries(), path+".retries", found)
	checkFault(route.GetFault(), path+".fault", found)
}

func checkDestinations(destinations []*networking.HTTPRouteDestination, path string, found *problems) {
	if len(destinations) == 0 {
		found.add(path, "must hold at least one destination")

		return
	}

	var total int64

	for i, destination := range destinations {
		at := fmt.Sprintf("%s[%d]", path, i)
		checkHost(destination.GetDestination().GetHost(), at+".destination.host", found)

		if destination.GetWeight() < 0 {
			found.add(at+".weight", "%d must not be negative", destination.GetWeight())
		}

		total += int64(destination.GetWeight())
	}

	if total > math.MaxUint32 || total == 0 && len(destinations) > 1 {
		found.add(path, "the weights sum up to %d: must be 100", total)
	}
}

func checkDuration(duration *durationpb.Duration, positive bool, path string, found *problems) {
	if duration == nil {
		return
	}

	if err := duration.CheckValid(); err != nil {
		found.add(path, "is not a duration: %v", err)
	} else if d := duration.AsDuration(); d < 0 || positive && d == 0 {
		found.add(path, "%v is not a usable duration: write one such as 10s", d)
	}
}

// retryable are what grpc-go can retry on.
var retryable = []string{"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"}

func checkRetries(retries *networking.HTTPRetry, path string, found *problems) {
	if retries.GetAttempts() < 0 {
		found.add(path+".attempts", "%d must not be negative", retries.GetAttempts())
	}

	checkDuration(retries.GetBackoff(), true, path+".backoff", found)

	for reason := range strings.SplitSeq(retries.GetRetryOn(), ",") {
		if reason = strings.TrimSpace(reason); reason != "" && !slices.Contains(retryable, reason) {
			found.add(path+".retryOn", "%q is not supported: proxyless gRPC knows %s", reason, strings.Join(retryable, ", "))
		}
	}
}
