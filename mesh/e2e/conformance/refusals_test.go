package conformance_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/serinhq/serin/mesh/e2e/conformance/orders"
)

// refusals are objects that mesh/xds refuses by name. What istiod and clients make of them instead is told in the table:
// it is why they are refused.
func refusals() []conformance {
	var all []conformance

	add := func(kind string, specs map[string]string, objects func(spec string) string) {
		for _, name := range slices.Sorted(maps.Keys(specs)) {
			all = append(all, conformance{name: kind + ": " + name, objects: objects(specs[name]), check: observed})
		}
	}

	add("VirtualService", map[string]string{
		"mirror":                  to("a", "mirror: {host: "+host+", subset: b}"),
		"headers to set":          to("a", "headers: {request: {set: {x-key: one}}}"),
		"rewrite":                 to("a", "rewrite: {uri: /conform.Echo/Other}"),
		"redirect":                "{redirect: {uri: /other}}",
		"direct response":         "{directResponse: {status: 503}}",
		"corsPolicy":              to("a", "corsPolicy: {allowOrigins: [{exact: 'https://example.org'}]}"),
		"perTryTimeout":           to("a", "retries: {attempts: 2, perTryTimeout: 1s}"),
		"retryOn of HTTP":         to("a", "retries: {attempts: 2, retryOn: 5xx}"),
		"match on the method":     to("a", match("{method: {exact: POST}}")),
		"match on the authority":  to("a", match("{authority: {exact: other}}")),
		"match without a header":  to("a", match("{withoutHeaders: {x-key: {}}}")),
		"match on a query":        to("a", match("{queryParams: {a: {exact: b}}}")),
		"match on the namespace":  to("a", match("{sourceNamespace: conform}")),
		"a delay of some percent": to("a", "fault: {delay: {fixedDelay: 0.1s, percent: 100}}"),
	}, func(spec string) string { return routed(spec, to("b")) })

	add("DestinationRule", map[string]string{
		"outlierDetection":   mutual + ", outlierDetection: {consecutive5xxErrors: 1}",
		"maglev":             mutual + ", loadBalancer: {consistentHash: {httpHeaderName: x-user, maglev: {tableSize: 65537}}}",
		"hash of a cookie":   mutual + ", loadBalancer: {consistentHash: {httpCookie: {name: a, ttl: 0s}}}",
		"hash of the source": mutual + ", loadBalancer: {consistentHash: {useSourceIp: true}}",
		"LEAST_REQUEST":      mutual + ", loadBalancer: {simple: LEAST_REQUEST}",
		"SIMPLE TLS":         "tls: {mode: SIMPLE}",
		"maxConnections":     mutual + ", connectionPool: {tcp: {maxConnections: 1}}",
	}, func(spec string) string { return ruled(spec, "") })

	add("AuthorizationPolicy", map[string]string{
		"ALLOW without rules": "action: ALLOW",
		"AUDIT":               "action: AUDIT, rules: [{}]",
		"request principals":  "action: ALLOW, rules: [{from: [{source: {requestPrincipals: ['*']}}]}]",
		"methods":             "action: ALLOW, rules: [{to: [{operation: {methods: [POST]}}]}]",
	}, func(spec string) string { return policy("one", spec) })

	add("PeerAuthentication", map[string]string{"PERMISSIVE": "PERMISSIVE"}, func(spec string) string {
		return strings.Replace(plain, "DISABLE", spec, 1)
	})

	return all
}

// settling is how long istiod and its clients take to make something of an object.
const settling = time.Second

// observed tells what has come of objects that were taken.
func observed(w *world) error {
	select {
	case <-time.After(settling): // what comes of it can't be awaited, since nothing may
	case <-w.ctx.Done():
		return w.ctx.Err()
	}

	answers, err := w.calls("caller", orders.Calls{Count: 30, Timeout: 2 * time.Second})
	if err != nil {
		return err
	}

	refused, err := w.refused()
	if err != nil {
		return err
	}

	if len(refused) > 0 {
		return noted(fmt.Sprintf("taken; clients refuse it (NACK), and keep what they had: %s", summed(answers)))
	}

	return noted("taken; calls come to " + summed(answers))
}

// noted is not a failure but what is put into the table.
type noted string

func (n noted) Error() string { return string(n) }
