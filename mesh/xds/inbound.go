package xds

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	security "istio.io/api/security/v1beta1"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// guarded is a workload and what guards it.
type guarded struct {
	entry           *networkingv1.WorkloadEntry
	policies        []*securityv1.AuthorizationPolicy
	authentications []*securityv1.PeerAuthentication // the more specific first
	ports           []servicePort
}

// inbound makes the listeners of a workload's own server, one for each port, whether it is ready or not: that is how
// it becomes ready.
func (t *translator) inbound(m *model, entry *networkingv1.WorkloadEntry) []made {
	g := t.guard(m, entry)

	return t.made.get("inbound;"+g.stamp(), func() []made {
		unit := make([]made, 0, len(entry.Spec.GetPorts()))

		for _, name := range slices.Sorted(maps.Keys(entry.Spec.GetPorts())) {
			unit = append(unit, made{Listener, t.server(g, name)})
		}

		return unit
	})
}

func (t *translator) guard(m *model, entry *networkingv1.WorkloadEntry) guarded {
	g := guarded{entry: entry, ports: m.ports[entry]}

	for _, policy := range m.policies {
		if t.applies(policy, policy.Spec.GetSelector().GetMatchLabels(), entry) {
			g.policies = append(g.policies, policy)
		}
	}

	for _, authentication := range m.authentications {
		if t.applies(authentication, authentication.Spec.GetSelector().GetMatchLabels(), entry) {
			g.authentications = append(g.authentications, authentication)
		}
	}

	slices.SortStableFunc(g.authentications, func(a, b *securityv1.PeerAuthentication) int {
		return cmp.Or(t.scope(a)-t.scope(b), older(a, b))
	})

	return g
}

// applies reports whether a policy is about a workload.
func (t *translator) applies(policy metav1.Object, selector map[string]string, entry *networkingv1.WorkloadEntry) bool {
	return (policy.GetNamespace() == entry.GetNamespace() || policy.GetNamespace() == t.options.RootNamespace) &&
		selects(selector, entry.Spec.GetLabels())
}

// scope orders by how specific an object is: workload, namespace, mesh.
func (t *translator) scope(authentication *securityv1.PeerAuthentication) int {
	switch {
	case len(authentication.Spec.GetSelector().GetMatchLabels()) > 0:
		return 0
	case authentication.GetNamespace() != t.options.RootNamespace:
		return 1
	default:
		return 2
	}
}

func (g guarded) stamp() string {
	var text strings.Builder

	text.WriteString(stamp(g.entry))

	for _, policy := range g.policies {
		text.WriteString(stamp(policy))
	}

	for _, authentication := range g.authentications {
		text.WriteString(stamp(authentication))
	}

	for _, port := range g.ports {
		text.WriteString(port.name + number(port.number))
	}

	return text.String()
}

// mode is the first that anyone sets; without a word, mTLS is demanded.
func (g guarded) mode(port uint32) security.PeerAuthentication_MutualTLS_Mode {
	for _, authentication := range g.authentications {
		spec := &authentication.Spec
		if mode := spec.GetPortLevelMtls()[port].GetMode(); mode != security.PeerAuthentication_MutualTLS_UNSET {
			return mode
		}

		if mode := spec.GetMtls().GetMode(); mode != security.PeerAuthentication_MutualTLS_UNSET {
			return mode
		}
	}

	return security.PeerAuthentication_MutualTLS_STRICT
}

func (t *translator) server(g guarded, port string) *Resource {
	at, _ := listensAt(&g.entry.Spec, port)
	name := inboundName(at.Addr().String(), uint32(at.Port()))
	chain := &listenerv3.FilterChain{
		Name:             "inbound",
		FilterChainMatch: &listenerv3.FilterChainMatch{},
		Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(t.manager(g, port, at))},
		}},
	}

	if g.mode(uint32(at.Port())) != security.PeerAuthentication_MutualTLS_DISABLE {
		chain.TransportSocket = downstreamTLS()
	}

	return seal(name, &listenerv3.Listener{
		Name: name, Address: socketAddress(at), FilterChains: []*listenerv3.FilterChain{chain},
	}, g.origins()...)
}

func (t *translator) manager(g guarded, port string, at netip.AddrPort) *hcmv3.HttpConnectionManager {
	own := &routev3.Route{Match: everything(), Action: &routev3.Route_NonForwardingAction{NonForwardingAction: &routev3.NonForwardingAction{}}}

	return &hcmv3.HttpConnectionManager{
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name:         "inbound",
			VirtualHosts: []*routev3.VirtualHost{{Name: "inbound", Domains: []string{"*"}, Routes: []*routev3.Route{own}}},
		}},
		HttpFilters: append(t.access(g, port, at), httpFilter(routerFilter, &routerv3.Router{})),
	}
}

func (g guarded) origins() []Ref {
	origins := make([]Ref, 0, 1+len(g.policies)+len(g.authentications))
	origins = append(origins, refOf(g.entry))

	for _, policy := range g.policies {
		origins = append(origins, refOf(policy))
	}

	for _, authentication := range g.authentications {
		origins = append(origins, refOf(authentication))
	}

	return origins
}
