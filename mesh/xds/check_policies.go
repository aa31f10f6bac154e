package xds

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	security "istio.io/api/security/v1beta1"
)

func checkAuthorizationPolicy(spec *security.AuthorizationPolicy, found *problems) {
	switch spec.GetAction() { //nolint:exhaustive // the others are refused
	case security.AuthorizationPolicy_ALLOW:
		if len(spec.GetRules()) == 0 {
			found.add("spec.rules", "must not be empty: proxyless gRPC does not enforce it; to deny all, write action: DENY, rules: [{}]")
		}
	case security.AuthorizationPolicy_DENY:
	default:
		found.add("spec.action", "%s is not supported: proxyless gRPC enforces ALLOW and DENY", spec.GetAction())
	}

	for i, rule := range spec.GetRules() {
		checkRule(rule, fmt.Sprintf("spec.rules[%d]", i), found)
	}
}

func checkRule(rule *security.Rule, path string, found *problems) {
	for i, from := range rule.GetFrom() {
		checkAccounts(from.GetSource(), fmt.Sprintf("%s.from[%d].source", path, i), found)
	}

	for i, to := range rule.GetTo() {
		at := fmt.Sprintf("%s.to[%d].operation", path, i)
		operation := to.GetOperation()
		checkPorts(slices.Concat(operation.GetPorts(), operation.GetNotPorts()), at+".ports", found)
		checkPaths(slices.Concat(operation.GetPaths(), operation.GetNotPaths()), at+".paths", found)
	}

	for i, condition := range rule.GetWhen() {
		checkCondition(condition, fmt.Sprintf("%s.when[%d]", path, i), found)
	}
}

// checkAccounts: empty values would match everyone, or no one.
func checkAccounts(source *security.Source, path string, found *problems) {
	for _, value := range slices.Concat(source.GetServiceAccounts(), source.GetNotServiceAccounts()) {
		if value == "" || strings.Contains(value, "*") || strings.Count(value, "/") > 1 {
			found.add(path+".serviceAccounts", "%q must look like account or namespace/account", value)
		}
	}

	for _, value := range slices.Concat(source.GetPrincipals(), source.GetNotPrincipals()) {
		if value == "" || strings.HasPrefix(value, "spiffe://") {
			found.add(path+".principals", "%q must look like cluster.local/ns/default/sa/billing", value)
		}
	}

	if slices.Contains(slices.Concat(source.GetNamespaces(), source.GetNotNamespaces()), "") {
		found.add(path+".namespaces", "must not hold an empty name")
	}
}

func checkPorts(ports []string, path string, found *problems) {
	for _, port := range ports {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			found.add(path, "%q must be a port, from 1 to 65535", port)
		}
	}
}

func checkPaths(paths []string, path string, found *problems) {
	for _, value := range paths {
		if value == "" || strings.Contains(value, "{") || strings.Count(value, "*") > 1 ||
			strings.Contains(strings.Trim(value, "*"), "*") {
			found.add(path, "%q must be a path such as /serin.context.v1.ContextService/Append, with a * at its beginning or end", value)
		}
	}
}

// Keys of conditions that are understood; headers carry a name in brackets.
const (
	keyHeader    = "request.headers["
	keyPrincipal = "source.principal"
	keyNamespace = "source.namespace"
	keyPort      = "destination.port"
)

func checkCondition(condition *security.Condition, path string, found *problems) {
	values := slices.Concat(condition.GetValues(), condition.GetNotValues())
	if len(values) == 0 || slices.Contains(values, "") {
		found.add(path, "must have values or notValues, none of them empty")
	}

	switch key := condition.GetKey(); key {
	case keyPrincipal, keyNamespace:
	case keyPort:
		checkPorts(values, path+".values", found)
	default:
		name, ok := headerKey(key)
		if !ok {
			found.add(path+".key", "%q is not supported: proxyless gRPC knows request.headers[NAME], %s, %s, %s",
				key, keyPrincipal, keyNamespace, keyPort)

			return
		}

		checkHeaderName(name, path+".key", found)
	}
}

func headerKey(key string) (string, bool) {
	name, ok := strings.CutPrefix(key, keyHeader)

	return strings.TrimSuffix(name, "]"), ok && strings.HasSuffix(name, "]")
}

func checkPeerAuthentication(spec *security.PeerAuthentication, found *problems) {
	checkMode(spec.GetMtls().GetMode(), "spec.mtls.mode", found)

	for port, mtls := range spec.GetPortLevelMtls() {
		path := fmt.Sprintf("spec.portLevelMtls[%d].mode", port)
		checkPortNumber(port, path, found)
		checkMode(mtls.GetMode(), path, found)
	}

	if len(spec.GetPortLevelMtls()) > 0 && len(spec.GetSelector().GetMatchLabels()) == 0 {
		found.add("spec.portLevelMtls", "needs a selector")
	}
}

func checkMode(mode security.PeerAuthentication_MutualTLS_Mode, path string, found *problems) {
	if mode == security.PeerAuthentication_MutualTLS_PERMISSIVE {
		found.add(path, "PERMISSIVE is not supported: to proxyless gRPC it means plain text; write STRICT or DISABLE")
	}
}
