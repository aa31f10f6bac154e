package istio

import (
	"slices"
	"strings"

	api "istio.io/api/networking/v1alpha3"
)

// reach edits the routes until they say what the aim says. Pins and anchors stand before everything, for a pin is a
// promise; exclusions and the split stand before the first route that takes all.
func (e *editor) reach(a aim, m mark) {
	want := e.agent.wanted(a)

	e.clear(want, m)

	for _, route := range want {
		if i := e.find(route.GetName(), m); i >= 0 {
			e.fit(i, route)
		} else {
			e.insert(e.place(route.GetName(), m), route)
		}
	}
}

// wanted are the aim's routes in their order.
func (a Agent) wanted(goal aim) []*api.HTTPRoute {
	routes := make([]*api.HTTPRoute, 0, len(goal.pins)+len(goal.anchors)+2)

	for _, p := range goal.pins {
		routes = append(routes, a.pinRoute(p))
	}

	for _, revision := range goal.anchors {
		routes = append(routes, a.anchorRoute(revision))
	}

	if len(goal.exclude) > 0 {
		routes = append(routes, a.excludeRoute(goal.exclude, goal.to))
	}

	if len(goal.split) > 0 {
		routes = append(routes, a.splitRoute(goal.split))
	}

	return routes
}

// clear deletes Serin's routes that are not wanted, or can't be reached where they stand.
func (e *editor) clear(want []*api.HTTPRoute, m mark) {
	for _, o := range slices.Backward(e.agent.survey(e.routes, m)) {
		name := e.routes[o.index].GetName()
		wanted := slices.ContainsFunc(want, func(route *api.HTTPRoute) bool { return route.GetName() == name })

		if !wanted || o.late || o.twin {
			e.delete(o.index)
		}
	}
}

func (e *editor) find(name string, m mark) int {
	for _, o := range e.agent.survey(e.routes, m) {
		if e.routes[o.index].GetName() == name {
			return o.index
		}
	}

	return -1
}

// place is where a new route goes.
func (e *editor) place(name string, m mark) int {
	found := e.agent.survey(e.routes, m)
	last := -1

	if name != excludeName && name != splitName {
		for _, o := range found {
			if o.kind == pinKind || o.kind == anchorKind && strings.HasPrefix(name, anchorPrefix) {
				last = o.index
			}
		}

		return last + 1
	}

	for i, route := range e.routes {
		o, mine := e.agent.recognise(route, m)
		if mine && o.kind == splitKind || !mine && catchesAll(route) {
			return i
		}
	}

	return len(e.routes)
}
