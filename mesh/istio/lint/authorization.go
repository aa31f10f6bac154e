package lint

import (
	"strings"

	security "istio.io/api/security/v1beta1"
)

const noTokens = "proxyless servers know no request principals: "

func authorizationPolicies() table {
	attached := ignored("proxyless servers take policies by selector alone; a policy with a target is for gateways and waypoints")

	return table{rules: map[string]rule{
		"selector": works, "selector.matchLabels": works, "targetRef": attached, "targetRefs": attached,
		"action": action, "provider": works, "provider.name": works,
		"rules": works, "rules.from": works, "rules.to": works, "rules.when": works,

		"rules.from.source":            works,
		"rules.from.source.principals": works, "rules.from.source.notPrincipals": works,
		"rules.from.source.namespaces": works, "rules.from.source.notNamespaces": works,
		"rules.from.source.serviceAccounts": works, "rules.from.source.notServiceAccounts": works,
		"rules.from.source.trustDomains": works, "rules.from.source.notTrustDomains": works,
		"rules.from.source.ipBlocks": works, "rules.from.source.notIpBlocks": works,
		"rules.from.source.remoteIpBlocks": proxied, "rules.from.source.notRemoteIpBlocks": proxied,
		"rules.from.source.requestPrincipals":    neverMatches(noTokens),
		"rules.from.source.notRequestPrincipals": alwaysMatches(noTokens),

		"rules.to.operation":       works,
		"rules.to.operation.hosts": works, "rules.to.operation.notHosts": works,
		"rules.to.operation.ports": works, "rules.to.operation.notPorts": works,
		"rules.to.operation.paths": pathTemplate, "rules.to.operation.notPaths": pathTemplate,
		"rules.to.operation.methods": method, "rules.to.operation.notMethods": method,

		"rules.when.key": condition, "rules.when.values": works, "rules.when.notValues": works,
	}}
}

// action: what is neither ALLOW nor DENY is left out of a server's listener.
func action(p place) verdict {
	switch p.text() {
	case "ALLOW", "DENY":
		return verdict{}
	case "CUSTOM":
		return verdict{Refused, "proxyless servers ask no provider and let everyone in (fail-open); write ALLOW or DENY"}
	default:
		return verdict{Ignored, "proxyless servers do not do it; they do ALLOW and DENY"}
	}
}

// judgeOpen: istiod sends a server no filter for a policy without rules.
func judgeOpen(spec *security.AuthorizationPolicy, r *report) {
	if spec.GetAction() == security.AuthorizationPolicy_ALLOW && len(spec.GetRules()) == 0 {
		r.add("spec.rules", "", verdict{Refused, "proxyless servers do not enforce an ALLOW policy without rules: everyone is let in (fail-open); " +
			"to let nobody in, write action: DENY, rules: [{}]"})
	}
}

func denies(p place) bool {
	spec, ok := p.root.Interface().(*security.AuthorizationPolicy)

	return ok && spec.GetAction() == security.AuthorizationPolicy_DENY
}

// neverMatches is a condition that nobody meets: a DENY policy with it denies nothing.
func neverMatches(why string) rule {
	return func(p place) verdict {
		if denies(p) {
			return verdict{Refused, why + "the rule matches nobody and denies nothing (fail-open); use principals, serviceAccounts or namespaces"}
		}

		return verdict{Refused, why + "the rule matches nobody and allows nothing; use principals, serviceAccounts or namespaces"}
	}
}

// alwaysMatches is a condition that everyone meets.
func alwaysMatches(why string) rule {
	return func(p place) verdict {
		if denies(p) {
			return verdict{Refused, why + "the condition holds for everyone, and all are denied; use notPrincipals, notServiceAccounts or notNamespaces"}
		}

		return verdict{Refused, why + "the condition holds for everyone (fail-open); use notPrincipals, notServiceAccounts or notNamespaces"}
	}
}

func proxied(place) verdict {
	return verdict{Risky, "proxyless servers see whom the connection is from, and no address that a proxy forwards; write ipBlocks"}
}

// method: gRPC has one.
func method(p place) verdict {
	if p.value.String() == "POST" || p.value.String() == "*" {
		return verdict{}
	}

	return verdict{Refused, "every gRPC call is a POST, and no other method matches; use paths, which are /package.Service/Method"}
}

func pathTemplate(p place) verdict {
	if !strings.Contains(p.value.String(), "{") {
		return verdict{}
	}

	return verdict{Refused, "proxyless servers refuse (NACK) their whole listener because of a path template; write a path, with * at its beginning or end"}
}

// condition judges a key by what proxyless servers know of a call.
func condition(p place) verdict {
	key := p.value.String()

	spec, ok := p.parent.Interface().(*security.Condition)
	negated := ok && len(spec.GetValues()) == 0

	switch {
	case strings.HasPrefix(key, "request.headers["), key == "source.ip", key == "source.namespace", key == "source.principal",
		key == "source.serviceAccount", key == "source.trustDomain", key == "destination.ip", key == "destination.port":
		return verdict{}
	case key == "remote.ip":
		return proxied(p)
	case negated:
		return alwaysMatches("proxyless servers do not know it: ")(p)
	default:
		return neverMatches("proxyless servers do not know it: ")(p)
	}
}
