package istio

import (
	"slices"

	api "istio.io/api/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// editor changes a list of routes, and writes down how as a patch whose tests pin each route by its name.
type editor struct {
	patch

	agent   Agent
	service metav1.Object
	routes  []*api.HTTPRoute
	// careful tests what it replaces. What takes traffic back does not: no concurrent writer shall hold it up.
	careful bool
}

// guard tests that the route at an index is the one that was read.
func (e *editor) guard(i int) {
	if name := e.routes[i].GetName(); name != "" {
		e.test(at("spec", "http", i, "name"), name)
	} else {
		e.nothing(at("spec", "http", i, "name"))
	}
}

func (e *editor) insert(i int, route *api.HTTPRoute) {
	switch {
	case i < len(e.routes):
		e.guard(i)
	case i > 0:
		e.guard(i - 1)
	default:
		e.start(e.service, at("spec", "http"))
	}

	e.add(at("spec", "http", i), route)
	e.routes = slices.Insert(e.routes, i, route)
}

func (e *editor) delete(i int) {
	e.guard(i)
	e.remove(at("spec", "http", i))
	e.routes = slices.Delete(e.routes, i, i+1)
}

// fit changes matches and destinations of the route at an index to those wanted; the rest is left to whoever set it.
func (e *editor) fit(i int, want *api.HTTPRoute) {
	route := e.routes[i]

	if !slices.EqualFunc(route.GetMatch(), want.GetMatch(), func(a, b *api.HTTPMatchRequest) bool { return equal(a, b) }) {
		e.match(i, want.GetMatch())
	}

	is, should := e.agent.shares(route), e.agent.shares(want)
	if slices.Equal(is, should) {
		return
	}

	e.guard(i)

	if slices.EqualFunc(is, should, func(a, b share) bool { return a.to == b.to }) {
		e.identify(i)
		e.weigh(i, should)
	} else {
		if e.careful {
			e.identify(i)
		}

		route.Route = e.agent.destinations(should, route.GetRoute())
		e.add(at("spec", "http", i, "route"), route.GetRoute())
	}
}

func (e *editor) match(i int, matches []*api.HTTPMatchRequest) {
	e.guard(i)

	if e.careful {
		e.compare(i)
	}

	if len(matches) > 0 {
		e.add(at("spec", "http", i, "match"), matches)
	} else {
		e.remove(at("spec", "http", i, "match"))
	}

	e.routes[i].Match = matches
}

// compare tests the headers that a route matches.
func (e *editor) compare(i int) {
	for j, m := range e.routes[i].GetMatch() {
		for _, header := range []string{RevisionHeader, AnchorHeader, TenantHeader} {
			if value := m.GetHeaders()[header].GetExact(); value != "" {
				e.test(at("spec", "http", i, "match", j, "headers", header, "exact"), value)
			}
		}
	}
}

// identify tests the destinations of a route: their weights are about to change, and the route may have no name.
func (e *editor) identify(i int) {
	for j, d := range e.routes[i].GetRoute() {
		to := at("spec", "http", i, "route", j, "destination")
		e.test(to+"/host", d.GetDestination().GetHost())

		if subset := d.GetDestination().GetSubset(); subset != "" {
			e.test(to+"/subset", subset)
		} else {
			e.nothing(to + "/subset")
		}
	}
}

// weigh sets the weights of destinations that stay as they are.
func (e *editor) weigh(i int, shares []share) {
	for j, destination := range e.routes[i].GetRoute() {
		if weight := shares[j].weight; int(destination.GetWeight()) != weight {
			e.add(at("spec", "http", i, "route", j, "weight"), weight)
			destination.Weight = int32(weight) //nolint:gosec // 0 to 100
		}
	}
}
