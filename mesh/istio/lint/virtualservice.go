package lint

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	networking "istio.io/api/networking/v1alpha3"
)

const (
	noHeaders   = "proxyless clients change no headers; set them in the application"
	noRewrite   = "proxyless clients rewrite nothing; call what is meant"
	noMirror    = "proxyless clients mirror nothing (0 of 100 calls arrived); mirror in the application"
	noPseudo    = "proxyless clients do not match on it; match on uri, which is /package.Service/Method, or on headers"
	httpOnly    = "proxyless clients take routes of http alone"
	unavailable = "proxyless clients answer every call of the route with UNAVAILABLE; send it to a destination"
)

// retryable are what grpc-go can retry on.
var retryable = []string{"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"}

func virtualServices() table {
	return table{outside: elsewhere, rules: map[string]rule{
		"hosts": works, "gateways": works, "exportTo": works, "http": works,
		"tls": ignored(httpOnly), "tcp": ignored(httpOnly),

		"http.name": works, "http.match": works, "http.route": works, "http.delegate": works,
		"http.timeout": timeout, "http.retries": works, "http.fault": works,
		"http.redirect": refused(unavailable), "http.directResponse": refused(unavailable),
		"http.corsPolicy": refused("proxyless clients refuse (NACK) the routes of the whole host because of it; answer CORS at the gateway"),
		"http.rewrite":    ignored(noRewrite), "http.headers": ignored(noHeaders),
		"http.mirror": ignored(noMirror), "http.mirrors": ignored(noMirror), "http.mirrorPercent": ignored(noMirror),
		"http.mirrorPercentage": ignored(noMirror),

		"http.delegate.name": works, "http.delegate.namespace": works,

		"http.match.name": works, "http.match.port": works, "http.match.gateways": works, "http.match.sourceLabels": works,
		"http.match.sourceNamespace": works, "http.match.ignoreUriCase": works,
		"http.match.uri": works, "http.match.uri.exact": works, "http.match.uri.prefix": works, "http.match.uri.regex": works,
		"http.match.headers": works, "http.match.headers.exact": works, "http.match.headers.prefix": works,
		"http.match.headers.regex": works,
		"http.match.scheme":        ignored(noPseudo), "http.match.method": ignored(noPseudo), "http.match.authority": ignored(noPseudo),
		"http.match.queryParams": ignored("proxyless clients leave a route with it out; match on headers"),
		"http.match.statPrefix":  ignored("proxyless clients count nothing by it; name the route"),
		"http.match.withoutHeaders": refused("it does not match a call without the header, which then takes another route; " +
			"put a route that matches the header first, and the general one behind it"),

		"http.route.destination": works, "http.route.weight": works, "http.route.headers": ignored(noHeaders),
		"http.route.destination.host": works, "http.route.destination.subset": works, "http.route.destination.port": works,
		"http.route.destination.port.number": works,

		"http.retries.attempts": works, "http.retries.backoff": works, "http.retries.retryOn": retryOn,
		"http.retries.perTryTimeout":            ignored("proxyless clients bound no single try; give the call a deadline"),
		"http.retries.retryRemoteLocalities":    ignored("proxyless clients try again by their load balancing policy alone"),
		"http.retries.retryIgnorePreviousHosts": ignored("proxyless clients try again by their load balancing policy alone"),

		"http.fault.delay": works, "http.fault.delay.fixedDelay": works, "http.fault.delay.percentage": works,
		"http.fault.delay.percentage.value": works, "http.fault.delay.percent": works,
		"http.fault.delay.exponentialDelay": ignored("istiod sends no such delay; write fixedDelay"),
		"http.fault.abort":                  works, "http.fault.abort.httpStatus": works, "http.fault.abort.grpcStatus": works,
		"http.fault.abort.percentage": works, "http.fault.abort.percentage.value": works,
		"http.fault.abort.http2Error": ignored("istiod sends no such abort; write grpcStatus"),
	}}
}

// timeout: 0 is none.
func timeout(p place) verdict {
	if seconds := p.value.Message().Descriptor().Fields().ByName("seconds"); !p.value.Message().Has(seconds) &&
		!p.value.Message().Has(p.value.Message().Descriptor().Fields().ByName("nanos")) {
		return verdict{}
	}

	return verdict{Risky, "it ends streams that are open for longer, such as a turn's; give streaming methods a route of their own without it, " +
		"and calls a deadline"}
}

// retryOn: conditions of HTTP mean nothing to a gRPC client.
func retryOn(p place) verdict {
	var unknown []string

	for condition := range strings.SplitSeq(p.value.String(), ",") {
		if condition = strings.TrimSpace(condition); condition != "" && !slices.Contains(retryable, condition) {
			unknown = append(unknown, condition)
		}
	}

	if len(unknown) == 0 {
		return verdict{}
	}

	return verdict{Ignored, "proxyless clients do not try again on " + strings.Join(unknown, ", ") + "; they know " + strings.Join(retryable, ", ")}
}

// meshGateway stands for everyone in the mesh.
const meshGateway = "mesh"

// elsewhere reports whether routes or matches are for gateways alone: those are Envoys, and do all of it.
func elsewhere(path string, message, root protoreflect.Message) bool {
	spec, ok := root.Interface().(*networking.VirtualService)
	if !ok {
		return false
	}

	switch path {
	case "":
		return !inMesh(spec.GetGateways(), nil) && !slices.ContainsFunc(spec.GetHttp(), func(route *networking.HTTPRoute) bool {
			return routeInMesh(route, spec.GetGateways())
		})
	case "http":
		route, is := message.Interface().(*networking.HTTPRoute)

		return is && !routeInMesh(route, spec.GetGateways())
	case "http.match":
		match, is := message.Interface().(*networking.HTTPMatchRequest)

		return is && !inMesh(match.GetGateways(), spec.GetGateways())
	default:
		return false
	}
}

func routeInMesh(route *networking.HTTPRoute, gateways []string) bool {
	if len(route.GetMatch()) == 0 {
		return inMesh(nil, gateways)
	}

	return slices.ContainsFunc(route.GetMatch(), func(match *networking.HTTPMatchRequest) bool {
		return inMesh(match.GetGateways(), gateways)
	})
}

// inMesh reports whether the mesh is among the gateways; without any those of the object count, and without those it is.
func inMesh(own, object []string) bool {
	if len(own) == 0 {
		own = object
	}

	return len(own) == 0 || slices.Contains(own, meshGateway)
}
