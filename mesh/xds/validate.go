package xds

import (
	"google.golang.org/protobuf/proto"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/serinhq/serin/mesh/xds/objects"
)

// Validate refuses, by name, whatever an object says that proxyless gRPC would ignore or refuse, or that cannot mean
// anything. The error is an aggregate of *field.Error. It fits [objects.Config].
func Validate(object runtime.Object) error {
	accessor, ok := object.(metav1.Object)
	if !ok {
		return nil
	}

	found := inspect(accessor)

	return found.err()
}

// inspect judges one object by itself.
func inspect(object metav1.Object) *problems {
	found := &problems{object: refOf(object)}

	switch object := object.(type) {
	case *networkingv1.VirtualService:
		virtualServiceGrammar().check(&object.Spec, found)
		checkVirtualService(&object.Spec, found)
	case *networkingv1.DestinationRule:
		destinationRuleGrammar().check(&object.Spec, found)
		checkDestinationRule(&object.Spec, found)
	case *networkingv1.ServiceEntry:
		serviceEntryGrammar().check(&object.Spec, found)
		checkServiceEntry(&object.Spec, found)
	case *networkingv1.WorkloadEntry:
		workloadEntryGrammar().check(&object.Spec, found)
		checkWorkloadEntry(&object.Spec, found)
	case *securityv1.AuthorizationPolicy:
		authorizationPolicyGrammar().check(&object.Spec, found)
		checkAuthorizationPolicy(&object.Spec, found)
	case *securityv1.PeerAuthentication:
		peerAuthenticationGrammar().check(&object.Spec, found)
		checkPeerAuthentication(&object.Spec, found)
	}

	return found
}

func (g grammar) check(spec proto.Message, found *problems) {
	g.walk(spec.ProtoReflect(), "spec", "", found)
}

// refOf names an object that the store keeps.
func refOf(object metav1.Object) Ref {
	return Ref{kindOf(object), object.GetNamespace(), object.GetName()}
}

func kindOf(object metav1.Object) string {
	switch object.(type) {
	case *networkingv1.VirtualService:
		return objects.VirtualService
	case *networkingv1.DestinationRule:
		return objects.DestinationRule
	case *networkingv1.ServiceEntry:
		return objects.ServiceEntry
	case *networkingv1.WorkloadEntry:
		return objects.WorkloadEntry
	case *securityv1.AuthorizationPolicy:
		return objects.AuthorizationPolicy
	case *securityv1.PeerAuthentication:
		return objects.PeerAuthentication
	default:
		return "object"
	}
}
