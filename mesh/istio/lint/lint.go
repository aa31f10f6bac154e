package lint

import (
	"google.golang.org/protobuf/proto"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	networkingv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"
	networkingv1beta1 "istio.io/client-go/pkg/apis/networking/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	securityv1beta1 "istio.io/client-go/pkg/apis/security/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Proxyless returns what proxyless gRPC would not do of these objects, in their order and in the order of their fields.
// It knows Istio's typed objects in all of their versions, and Service; it has nothing to say of others.
func Proxyless(objects ...runtime.Object) []Finding {
	findings := []Finding{}

	for _, object := range objects {
		accessor, ok := object.(metav1.Object)
		if !ok {
			continue
		}

		kind, spec := describe(object)
		r := &report{object: Object{kind, accessor.GetNamespace(), accessor.GetName()}}
		judgeLabels(accessor, kind, r)
		judgeSpec(kind, spec, r)
		findings = append(findings, r.findings...)
	}

	return findings
}

// report collects what is found in one object.
type report struct {
	object   Object
	findings []Finding
}

func (r *report) add(field, value string, v verdict) {
	r.findings = append(r.findings, Finding{r.object, field, value, v.severity, v.message})
}

// The kinds that there is something to say about.
const (
	kindService               = "Service"
	kindServiceEntry          = "ServiceEntry"
	kindVirtualService        = "VirtualService"
	kindDestinationRule       = "DestinationRule"
	kindAuthorizationPolicy   = "AuthorizationPolicy"
	kindPeerAuthentication    = "PeerAuthentication"
	kindRequestAuthentication = "RequestAuthentication"
	kindEnvoyFilter           = "EnvoyFilter"
)

// describe returns an object's kind and its spec; an empty kind for one that there is nothing to say about.
func describe(object runtime.Object) (kind string, spec proto.Message) {
	switch object := object.(type) {
	case *networkingv1.VirtualService:
		return kindVirtualService, &object.Spec
	case *networkingv1beta1.VirtualService:
		return kindVirtualService, &object.Spec
	case *networkingv1alpha3.VirtualService:
		return kindVirtualService, &object.Spec
	case *networkingv1.DestinationRule:
		return kindDestinationRule, &object.Spec
	case *networkingv1beta1.DestinationRule:
		return kindDestinationRule, &object.Spec
	case *networkingv1alpha3.DestinationRule:
		return kindDestinationRule, &object.Spec
	case *securityv1.AuthorizationPolicy:
		return kindAuthorizationPolicy, &object.Spec
	case *securityv1beta1.AuthorizationPolicy:
		return kindAuthorizationPolicy, &object.Spec
	case *securityv1.PeerAuthentication:
		return kindPeerAuthentication, &object.Spec
	case *securityv1beta1.PeerAuthentication:
		return kindPeerAuthentication, &object.Spec
	case *securityv1.RequestAuthentication, *securityv1beta1.RequestAuthentication:
		return kindRequestAuthentication, nil
	case *networkingv1alpha3.EnvoyFilter:
		return kindEnvoyFilter, nil
	case *networkingv1.ServiceEntry, *networkingv1beta1.ServiceEntry, *networkingv1alpha3.ServiceEntry:
		return kindServiceEntry, nil
	case *corev1.Service:
		return kindService, nil
	default:
		return "", nil
	}
}
