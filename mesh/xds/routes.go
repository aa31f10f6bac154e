package xds

import (
	"maps"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
)

// router makes the routes of one port of a service.
type router struct {
	model   *model
	service *service
	port    uint32
	// needs are the clusters that the routes lead to.
	needs map[string]bool
}

// routes makes a route configuration for each port.
func (t *translator) routes(m *model, service *service) []made {
	key := "routes;" + service.host + ";" + stamp(service.entry) + strings.Join(routeOrigins(m, service), "")

	return t.made.get(key, func() []made {
		unit := make([]made, 0, len(service.entry.Spec.GetPorts()))

		for _, port := range service.entry.Spec.GetPorts() {
			r := router{m, service, port.GetNumber(), map[string]bool{}}
			unit = append(unit, made{Routes, r.configuration()})
		}

		return unit
	})
}

// routeOrigins are the stamps of the objects that the routes depend on, besides the service's own entry.
func routeOrigins(m *model, service *service) []string {
	if service.virtual == nil {
		return []string{"none;", ruleStamp(service.rule)}
	}

	stamps := []string{stamp(service.virtual)}

	for _, route := range service.virtual.Spec.GetHttp() {
		for _, destination := range route.GetRoute() {
			host := qualify(destination.GetDestination().GetHost(), service.virtual.GetNamespace())
			if other := m.services[host]; other != nil {
				stamps = append(stamps, stamp(other.entry), ruleStamp(other.rule))
			}
		}
	}

	slices.Sort(stamps)

	return slices.Compact(stamps)
}

func ruleStamp(rule *networkingv1.DestinationRule) string {
	if rule == nil {
		return "none;"
	}

	return stamp(rule)
}

// origins are the objects that the routes are made from: those of the service, and those of where they lead, which say
// on which port and by which header.
func (r *router) origins() []Ref {
	refs := ruleOrigins(r.service)

	if r.service.virtual == nil {
		return refs
	}

	refs = append(refs, refOf(r.service.virtual))

	for _, route := range r.service.virtual.Spec.GetHttp() {
		for _, destination := range route.GetRoute() {
			host := qualify(destination.GetDestination().GetHost(), r.service.virtual.GetNamespace())
			if other := r.model.services[host]; other != nil && other != r.service {
				refs = append(refs, ruleOrigins(other)...)
			}
		}
	}

	return refs
}

func (r *router) configuration() *Resource {
	name := routesName(r.service.host, r.port)
	host := &routev3.VirtualHost{Name: r.service.host, Domains: []string{"*"}, Routes: r.all()}
	resource := seal(name, &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{host}}, r.origins()...)
	resource.Needs = slices.Sorted(maps.Keys(r.needs))

	return resource
}

// all are the routes as the VirtualService says, or one to the whole service if there is none.
func (r *router) all() []*routev3.Route {
	virtual := r.service.virtual
	if virtual == nil {
		return []*routev3.Route{{
			Match:  everything(),
			Action: &routev3.Route_Route{Route: r.action(toAll(r.service.host), r.service.entry.GetNamespace())},
		}}
	}

	var routes []*routev3.Route

	for _, route := range virtual.Spec.GetHttp() {
		for _, match := range r.matches(route) {
			routes = append(routes, &routev3.Route{
				Name: route.GetName(), Match: match,
				Action:               &routev3.Route_Route{Route: r.action(route, virtual.GetNamespace())},
				TypedPerFilterConfig: faults(route.GetFault()),
			})
		}
	}

	return routes
}

// toAll is the route of a service that nobody wrote a VirtualService for.
func toAll(host string) *networking.HTTPRoute {
	return &networking.HTTPRoute{
		Route: []*networking.HTTPRouteDestination{{Destination: &networking.Destination{Host: host}}},
	}
}
