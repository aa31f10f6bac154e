package lint

import (
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// persistentSession is the label of Istio's cookie sessions.
const persistentSession = "istio.io/persistent-session"

// judgeLabels refuses labels that the control plane does not survive.
func judgeLabels(object metav1.Object, kind string, r *report) {
	value, labelled := object.GetLabels()[persistentSession]
	if !labelled || kind != kindService && kind != kindServiceEntry {
		return
	}

	r.add("metadata.labels["+persistentSession+"]", `"`+value+`"`, verdict{
		Refused, "istiod crashes when it builds proxyless listeners for it; leave the label out: Serin's pins keep conversations where they are",
	})
}

// judgeSpec finds what the kind's table and the rules that span fields say.
func judgeSpec(kind string, spec proto.Message, r *report) {
	switch spec := spec.(type) {
	case *networking.VirtualService:
		virtualServices().judge(spec, r)
	case *networking.DestinationRule:
		destinationRules().judge(spec, r)
		judgePlaintext(spec, r)
	case *security.AuthorizationPolicy:
		authorizationPolicies().judge(spec, r)
		judgeOpen(spec, r)
	case *security.PeerAuthentication:
		peerAuthentications().judge(spec, r)
	}

	switch kind {
	case kindRequestAuthentication:
		r.add("kind", "", verdict{Ignored, "proxyless servers check no JSON web tokens; authenticate users at the gateway"})
	case kindEnvoyFilter:
		r.add("kind", "", verdict{Ignored, "there is no Envoy that it could be applied to"})
	}
}

func (t table) judge(spec proto.Message, r *report) {
	root := spec.ProtoReflect()
	walker{table: t, root: root, add: r.add}.message(root, "spec", "")
}

func peerAuthentications() table {
	mode := func(p place) verdict {
		if p.text() != "PERMISSIVE" {
			return verdict{}
		}

		return verdict{Risky, "proxyless servers take either mTLS or plaintext, not both: with PERMISSIVE mTLS where the pod has the label " +
			"security.istio.io/tlsMode: istio, else plaintext; write STRICT or DISABLE"}
	}

	return table{rules: map[string]rule{
		"selector": works, "selector.matchLabels": works,
		"mtls": works, "mtls.mode": mode,
		"portLevelMtls": works, "portLevelMtls.mode": mode,
	}}
}
