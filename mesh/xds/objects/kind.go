package objects

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The kinds that a [Store] keeps.
const (
	VirtualService      = "VirtualService"
	DestinationRule     = "DestinationRule"
	ServiceEntry        = "ServiceEntry"
	WorkloadEntry       = "WorkloadEntry"
	AuthorizationPolicy = "AuthorizationPolicy"
	PeerAuthentication  = "PeerAuthentication"
)

const (
	networking = "networking.istio.io"
	security   = "security.istio.io"
)

// typed is an object of client-go.
type typed interface {
	runtime.Object
	metav1.Object
}

// kind is what the API knows about one kind of object.
type kind struct {
	group, name, singular, plural, short string
	// versions are served alike; objects are kept in the first.
	versions []string
	// blank makes an empty object.
	blank func() typed
	// spec and status describe the parts of an object.
	spec, status protoreflect.MessageDescriptor
	columns      []column
}

func (k *kind) gvk(version string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: k.group, Version: version, Kind: k.name}
}

func (k *kind) groupKind() schema.GroupKind { return schema.GroupKind{Group: k.group, Kind: k.name} }

func (k *kind) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: k.group, Resource: k.plural}
}
func (k *kind) serves(version string) bool { return slices.Contains(k.versions, version) }

// kinds are all kinds, by their names.
type kinds map[string]*kind

// resource finds the kind that an address names; nil if there is none.
func (ks kinds) resource(group, version, plural string) *kind {
	for _, k := range ks {
		if k.group == group && k.plural == plural && k.serves(version) {
			return k
		}
	}

	return nil
}

// groups are the API groups and the versions of each, the preferred first.
func (ks kinds) groups() map[string][]string {
	groups := map[string][]string{}
	for _, k := range ks {
		groups[k.group] = k.versions
	}

	return groups
}

// of are the kinds of a group, sorted.
func (ks kinds) of(group string) []*kind {
	var found []*kind

	for _, k := range ks {
		if k.group == group {
			found = append(found, k)
		}
	}

	slices.SortFunc(found, func(a, b *kind) int { return compare(a.plural, b.plural) })

	return found
}

func istioKinds() kinds {
	all := kinds{}
	for _, k := range append(networkingKinds(), securityKinds()...) {
		all[k.name] = k
	}

	return all
}

func networkingKinds() []*kind {
	var (
		vs networkingv1.VirtualService
		dr networkingv1.DestinationRule
		se networkingv1.ServiceEntry
		we networkingv1.WorkloadEntry
	)

	versions := []string{"v1", "v1beta1", "v1alpha3"}

	return []*kind{
		{
			networking, VirtualService, "virtualservice", "virtualservices", "vs", versions,
			func() typed { return &networkingv1.VirtualService{} }, describe(&vs.Spec), describe(&vs.Status),
			[]column{{"Gateways", "spec.gateways"}, {"Hosts", "spec.hosts"}},
		},
		{
			networking, DestinationRule, "destinationrule", "destinationrules", "dr", versions,
			func() typed { return &networkingv1.DestinationRule{} }, describe(&dr.Spec), describe(&dr.Status),
			[]column{{"Host", "spec.host"}},
		},
		{
			networking, ServiceEntry, "serviceentry", "serviceentries", "se", versions,
			func() typed { return &networkingv1.ServiceEntry{} }, describe(&se.Spec), describe(&se.Status),
			[]column{{"Hosts", "spec.hosts"}, {"Location", "spec.location"}, {"Resolution", "spec.resolution"}},
		},
		{
			networking, WorkloadEntry, "workloadentry", "workloadentries", "we", versions,
			func() typed { return &networkingv1.WorkloadEntry{} }, describe(&we.Spec), describe(&we.Status),
			[]column{{"Address", "spec.address"}},
		},
	}
}

func securityKinds() []*kind {
	var (
		ap securityv1.AuthorizationPolicy
		pa securityv1.PeerAuthentication
	)

	versions := []string{"v1", "v1beta1"}

	return []*kind{
		{
			security, AuthorizationPolicy, "authorizationpolicy", "authorizationpolicies", "ap", versions,
			func() typed { return &securityv1.AuthorizationPolicy{} }, describe(&ap.Spec), describe(&ap.Status),
			[]column{{"Action", "spec.action"}},
		},
		{
			security, PeerAuthentication, "peerauthentication", "peerauthentications", "pa", versions,
			func() typed { return &securityv1.PeerAuthentication{} }, describe(&pa.Spec), describe(&pa.Status),
			[]column{{"Mode", "spec.mtls.mode"}},
		},
	}
}

func describe(message protoreflect.ProtoMessage) protoreflect.MessageDescriptor {
	return message.ProtoReflect().Descriptor()
}
