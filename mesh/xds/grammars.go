package xds

import "slices"

const (
	ignored     = "not supported: proxyless gRPC ignores it"
	underIstiod = "not supported on one machine: all clients get the same routes"
)

func virtualServiceGrammar() grammar {
	return grammar{
		allowed: slices.Concat(
			[]string{"hosts", "gateways", "exportTo", "http", "http.name", "http.timeout"},
			under("http.match", "name", "uri", "uri.exact", "uri.prefix", "uri.regex", "ignoreUriCase", "port", "gateways",
				"headers", "headers.exact", "headers.prefix", "headers.regex"),
			under("http.route", "weight", "destination", "destination.host", "destination.subset", "destination.port",
				"destination.port.number"),
			under("http.retries", "attempts", "retryOn", "backoff"),
			under("http.fault", "delay", "delay.fixedDelay", "delay.percentage", "delay.percentage.value",
				"abort", "abort.httpStatus", "abort.grpcStatus", "abort.percentage", "abort.percentage.value"),
		),
		reasons: map[string]string{
			"tls": "not supported: proxyless gRPC takes http routes only", "tcp": "not supported: proxyless gRPC takes http routes only",
			"http.mirror": ignored, "http.mirrors": ignored, "http.mirrorPercent": ignored, "http.mirrorPercentage": ignored,
			"http.headers": ignored, "http.route.headers": ignored, "http.rewrite": ignored,
			"http.corsPolicy":     "not supported: proxyless gRPC refuses the whole route configuration because of it",
			"http.redirect":       "not supported: proxyless gRPC answers UNAVAILABLE",
			"http.directResponse": "not supported: proxyless gRPC answers UNAVAILABLE",
			"http.delegate":       "not supported: put the routes into this object",

			"http.retries.perTryTimeout": ignored, "http.retries.retryRemoteLocalities": ignored,
			"http.retries.retryIgnorePreviousHosts": ignored,

			"http.match.scheme": ignored, "http.match.authority": ignored, "http.match.queryParams": ignored,
			"http.match.method":          "not supported: proxyless gRPC ignores it, every call is a POST; match on uri",
			"http.match.withoutHeaders":  "not supported: it does not match a header that is absent; order the routes positively",
			"http.match.sourceLabels":    underIstiod,
			"http.match.sourceNamespace": underIstiod,

			"http.fault.delay.percent":          "not supported: write percentage.value",
			"http.fault.delay.exponentialDelay": ignored, "http.fault.abort.http2Error": ignored,
		},
	}
}

func destinationRuleGrammar() grammar {
	policy := slices.Concat(
		under("loadBalancer", "simple", "consistentHash", "consistentHash.httpHeaderName", "consistentHash.minimumRingSize",
			"consistentHash.ringHash", "consistentHash.ringHash.minimumRingSize"),
		under("connectionPool", "http", "http.http2MaxRequests"),
		under("tls", "mode"),
	)
	policies := append(slices.Clone(policy), under("portLevelSettings", append(policy, "port", "port.number")...)...)

	return grammar{
		allowed: slices.Concat(
			[]string{"host", "exportTo", "subsets", "subsets.name", "subsets.labels"},
			under("trafficPolicy", policies...), under("subsets.trafficPolicy", policies...),
		),
		reasons: map[string]string{
			"*outlierDetection": ignored, "*tcp": ignored, "*warmup": ignored, "*warmupDurationSecs": ignored,
			"*http1MaxPendingRequests": ignored, "*maxRequestsPerConnection": ignored, "*maxRetries": ignored,
			"*idleTimeout": ignored, "*h2UpgradePolicy": ignored, "*useClientProtocol": ignored,
			"*maxConcurrentStreams": ignored, "*http2KeepAlive": ignored, "*tunnel": ignored, "*proxyProtocol": ignored,
			"*retryBudget": ignored,

			"*maglev":                 "not supported: proxyless gRPC refuses the whole cluster because of it; use ringHash",
			"*httpCookie":             "not supported: proxyless gRPC hashes at random; use httpHeaderName",
			"*useSourceIp":            "not supported: proxyless gRPC hashes at random; use httpHeaderName",
			"*httpQueryParameterName": "not supported: proxyless gRPC hashes at random; use httpHeaderName",
		},
	}
}

func serviceEntryGrammar() grammar {
	return grammar{
		allowed: slices.Concat(
			[]string{"hosts", "exportTo", "location", "resolution", "subjectAltNames"},
			under("ports", "number", "name", "protocol"), under("workloadSelector", "labels"),
		),
		reasons: map[string]string{
			"endpoints":        "not supported on one machine: write a WorkloadEntry for each, and a workloadSelector",
			"addresses":        ignored,
			"ports.targetPort": "not supported on one machine: name the port in the WorkloadEntry's ports",
		},
	}
}

func workloadEntryGrammar() grammar {
	return grammar{
		allowed: []string{"address", "ports", "labels", "serviceAccount"},
		reasons: map[string]string{"weight": ignored},
	}
}

func authorizationPolicyGrammar() grammar {
	return grammar{
		allowed: slices.Concat(
			[]string{"action", "rules", "rules.from", "rules.to"}, under("selector", "matchLabels"),
			under("rules.from.source", "principals", "notPrincipals", "namespaces", "notNamespaces", "serviceAccounts",
				"notServiceAccounts"),
			under("rules.to.operation", "paths", "notPaths", "ports", "notPorts"),
			under("rules.when", "key", "values", "notValues"),
		),
		reasons: map[string]string{
			"rules.to.operation.methods":             "not supported: every gRPC call is a POST; use paths",
			"rules.to.operation.notMethods":          "not supported: every gRPC call is a POST; use notPaths",
			"rules.from.source.requestPrincipals":    "not supported: proxyless gRPC knows no request principals and denies",
			"rules.from.source.notRequestPrincipals": "not supported: proxyless gRPC knows no request principals",
			"rules.from.source.ipBlocks":             "not supported on one machine: everyone has the same address",
			"rules.from.source.notIpBlocks":          "not supported on one machine: everyone has the same address",
			"rules.from.source.remoteIpBlocks":       "not supported on one machine: everyone has the same address",
			"rules.from.source.notRemoteIpBlocks":    "not supported on one machine: everyone has the same address",
		},
	}
}

func peerAuthenticationGrammar() grammar {
	return grammar{allowed: slices.Concat(
		under("selector", "matchLabels"), under("mtls", "mode"), under("portLevelMtls", "mode"),
	)}
}
