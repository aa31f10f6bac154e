package conformance_test

import (
	"cmp"

	"github.com/serinhq/serin/mesh/e2e/conformance/orders"
)

// policy is an AuthorizationPolicy for the servers.
func policy(name, spec string) string {
	return `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ` + name + `, namespace: conform}
spec: {selector: {matchLabels: {app: echo}}, ` + spec + "}\n"
}

const (
	callerAlone   = "action: ALLOW, rules: [{from: [{source: {principals: [cluster.local/ns/conform/sa/caller]}}]}]"
	strangerAlone = "action: ALLOW, rules: [{from: [{source: {principals: [cluster.local/ns/conform/sa/stranger]}}]}]"
	denied        = "PermissionDenied"
)

// may wants that of the three clients just these are answered. The outsider is of another namespace, and calls a server
// straight, with its certificate.
func (w *world) may(method string, caller, stranger, outsider bool) error {
	wanted := func(allowed bool, answer string) string {
		if allowed {
			return answer
		}

		return denied
	}

	return cmp.Or(
		w.all("caller", orders.Calls{Method: method, Headers: headers{"x-key": "b"}}, wanted(caller, "OK from b")),
		w.all("stranger", orders.Calls{Method: method, Headers: headers{"x-key": "b"}}, wanted(stranger, "OK from b")),
		w.all("outsider", orders.Calls{Method: method, Via: orders.TLS, Target: w.address("b1")}, wanted(outsider, "OK from b")),
	)
}

func policies() []conformance {
	toB := "---" + routed(to("b", match("{headers: {x-key: {exact: b}}}")), to("a"))
	case3 := func(name, spec string, caller, stranger, outsider bool) conformance {
		return conformance{
			area: "policies", name: name, objects: policy("one", spec) + toB,
			check: func(w *world) error { return w.may("Call", caller, stranger, outsider) },
		}
	}

	return []conformance{
		case3("ALLOW a principal", callerAlone, true, false, false),
		case3("ALLOW a service account", "action: ALLOW, rules: [{from: [{source: {serviceAccounts: [conform/caller]}}]}]", true, false, false),
		case3("ALLOW a namespace", "action: ALLOW, rules: [{from: [{source: {namespaces: [conform]}}]}]", true, true, false),
		case3("ALLOW all but a principal", "action: ALLOW, rules: [{from: [{source: {notPrincipals: [cluster.local/ns/conform/sa/caller]}}]}]", false, true, true),
		case3("DENY a principal", "action: DENY, rules: [{from: [{source: {principals: [cluster.local/ns/conform/sa/caller]}}]}]", false, true, true),
		case3("DENY all", "action: DENY, rules: [{}]", false, false, false),
		case3("ALLOW by the server's port", "action: ALLOW, rules: [{to: [{operation: {ports: ['9000']}}]}]", true, true, true),
		case3("ALLOW by a header", "action: ALLOW, rules: [{when: [{key: 'request.headers[x-key]', values: [b]}]}]", true, true, false),
		{
			area: "policies", name: "DENY before ALLOW", check: func(w *world) error { return w.may("Call", false, true, false) },
			objects: policy("one", "action: ALLOW, rules: [{from: [{source: {namespaces: [conform]}}]}]") + "---" +
				policy("two", "action: DENY, rules: [{from: [{source: {principals: [cluster.local/ns/conform/sa/caller]}}]}]") + toB,
		},
		{area: "policies", name: "ALLOW a method, by its path", check: func(w *world) error {
			return cmp.Or(w.may("Other", true, true, true), w.may("Call", false, false, false))
		}, objects: policy("one", "action: ALLOW, rules: [{to: [{operation: {paths: [/conform.Echo/Other]}}]}]") + toB},
		{area: "policies", name: "a policy that changes while calls go on", objects: policy("one", callerAlone) + toB, check: func(w *world) error {
			return cmp.Or(w.may("Call", true, false, false),
				put(w.ctx, w, policy("one", strangerAlone)), w.may("Call", false, true, false))
		}},
		{
			area: "policies", name: "no policy: everyone may", objects: routed(to("b", match("{headers: {x-key: {exact: b}}}")), to("a")),
			check: func(w *world) error { return w.may("Call", true, true, true) },
		},
	}
}
