package xds

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	networking "istio.io/api/networking/v1alpha3"
)

func checkMatch(match *networking.HTTPMatchRequest, path string, found *problems) {
	checkGateways(match.GetGateways(), path+".gateways", found)

	if match.GetUri() != nil {
		checkPattern(match.GetUri(), true, path+".uri", found)
	}

	for _, name := range slices.Sorted(maps.Keys(match.GetHeaders())) {
		at := path + ".headers[" + name + "]"
		checkHeaderName(name, at, found)

		if pattern := match.GetHeaders()[name]; pattern.GetMatchType() != nil {
			checkPattern(pattern, false, at, found)
		}
	}
}

// checkHeaderName refuses what no client can match: pseudo headers, gRPC's own, and binary ones.
func checkHeaderName(name, path string, found *problems) {
	lower := strings.ToLower(name)
	if lower == "" || strings.HasPrefix(lower, ":") || strings.HasPrefix(lower, "grpc-") || strings.HasSuffix(lower, "-bin") {
		found.add(path, "%q is not a header that proxyless gRPC matches on", name)
	}
}

func checkPattern(pattern *networking.StringMatch, emptyPrefix bool, path string, found *problems) {
	switch {
	case pattern.GetMatchType() == nil:
		found.add(path, "must have one of exact, prefix, regex")
	case pattern.GetRegex() != "":
		checkRegex(pattern.GetRegex(), path+".regex", found)
	case pattern.GetExact() == "" && pattern.GetPrefix() == "" && !emptyPrefix:
		found.add(path, "must not be empty")
	}
}

func checkRegex(pattern, path string, found *problems) {
	for _, text := range []string{pattern, fullRegex(pattern)} {
		if _, err := regexp.Compile(text); err != nil {
			found.add(path, "%q is not an RE2 expression: %v", pattern, err)

			return
		}
	}
}

// fullRegex is what clients make of an expression: it has to match everything.
func fullRegex(pattern string) string { return "^(?:" + pattern + ")$" }

func checkFault(fault *networking.HTTPFaultInjection, path string, found *problems) {
	if delay := fault.GetDelay(); delay != nil {
		checkPercentage(delay.GetPercentage(), path+".delay.percentage.value", found)

		if _, fixed := delay.GetHttpDelayType().(*networking.HTTPFaultInjection_Delay_FixedDelay); fixed {
			checkDuration(delay.GetFixedDelay(), true, path+".delay.fixedDelay", found)
		} else {
			found.add(path+".delay", "must have fixedDelay")
		}
	}

	if abort := fault.GetAbort(); abort != nil {
		checkPercentage(abort.GetPercentage(), path+".abort.percentage.value", found)
		checkAbort(abort, path+".abort", found)
	}
}

func checkPercentage(percentage *networking.Percent, path string, found *problems) {
	if value := percentage.GetValue(); !(value >= 0 && value <= 100) { // not a number is neither
		found.add(path, "%v must lie between 0 and 100", value)
	}
}

func checkAbort(abort *networking.HTTPFaultInjection_Abort, path string, found *problems) {
	switch kind := abort.GetErrorType().(type) {
	case *networking.HTTPFaultInjection_Abort_HttpStatus:
		if kind.HttpStatus < 200 || kind.HttpStatus > 599 {
			found.add(path+".httpStatus", "%d must lie between 200 and 599", kind.HttpStatus)
		}
	case *networking.HTTPFaultInjection_Abort_GrpcStatus:
		if _, ok := parseCode(kind.GrpcStatus); !ok {
			found.add(path+".grpcStatus", "%q is not a gRPC code, such as UNAVAILABLE", kind.GrpcStatus)
		}
	default:
		found.add(path, "must have grpcStatus or httpStatus")
	}
}

func parseCode(name string) (codes.Code, bool) {
	var code codes.Code
	if name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
		return code, false
	}

	err := code.UnmarshalJSON([]byte(`"` + name + `"`))

	return code, err == nil
}
