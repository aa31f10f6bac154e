package conformance_test

import (
	"cmp"
	"fmt"

	"github.com/serinhq/serin/mesh/e2e/conformance/orders"
)

// plain is a PeerAuthentication over that of base.
const plain = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: conform}
spec: {mtls: {mode: DISABLE}}
`

func security() []conformance {
	return []conformance{
		{
			area: "mTLS", name: "ISTIO_MUTUAL: servers know who calls", objects: routed(to("a")),
			check: func(w *world) error { return w.known("caller", "caller") },
		},
		{area: "mTLS", name: "STRICT: plain text is refused", objects: routed(to("a")), check: func(w *world) error {
			return w.all("outsider", orders.Calls{Via: orders.Plain, Target: w.address("a1")}, "Unavailable")
		}},
		{
			area: "mTLS", name: "STRICT: a client without TLS is refused", objects: ruled("tls: {mode: DISABLE}", "") + "---" + routed(to("a")),
			check: func(w *world) error { return w.fails(nil, "Unavailable") },
		},
		{
			area: "mTLS", name: "DISABLE on both sides: plain text", objects: plain + "---" + ruled("tls: {mode: DISABLE}", "") + "---" + routed(to("a")),
			check: func(w *world) error {
				return cmp.Or(w.known("caller", ""), w.all("outsider", orders.Calls{Via: orders.Plain, Target: w.address("a1")}, "OK from a"))
			},
		},
		{
			area: "mTLS", name: "STRICT for one port, DISABLE for the others", objects: ported + "---" + routed(to("b")),
			check: func(w *world) error { return w.known("caller", "caller") },
		},
	}
}

// ported says for one port what it says of no other.
const ported = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: one, namespace: conform}
spec: {selector: {matchLabels: {app: echo}}, mtls: {mode: STRICT}, portLevelMtls: {9999: {mode: DISABLE}}}
`

// known wants that servers see the caller as an account; empty as nobody.
func (w *world) known(client, account string) error {
	return w.eventually(func() error {
		answers, err := w.calls(client, orders.Calls{})
		if one := answers; err == nil && (one[0].Code != "OK" || one[0].Caller != account) {
			err = fmt.Errorf("%s, from a caller that is %q to the server; want %q", described(one), one[0].Caller, account)
		}

		return err
	})
}
