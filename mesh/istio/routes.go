package istio

import (
	api "istio.io/api/networking/v1alpha3"
)

// share is a destination of a route, named by [Agent.target], and its weight.
type share struct {
	to     string
	weight int
}

// pinRoute leads conversations that are pinned to a revision.
func (a Agent) pinRoute(p pin) *api.HTTPRoute {
	return a.route(pinPrefix+p.revision, share{to: p.to}).matching(RevisionHeader, p.revision)
}

// anchorRoute matches nothing that is sent: it keeps the revision's cluster known to the clients, which else fail RPCs
// when it enters the split.
func (a Agent) anchorRoute(revision string) *api.HTTPRoute {
	return a.route(anchorPrefix+revision, share{to: revision}).matching(AnchorHeader, revision)
}

// excludeRoute leads tenants that never meet a candidate.
func (a Agent) excludeRoute(tenants []string, to string) *api.HTTPRoute {
	return a.route(excludeName, share{to: to}).matching(TenantHeader, tenants...)
}

// splitRoute leads conversations that have no pin yet.
func (a Agent) splitRoute(shares []share) *api.HTTPRoute {
	return a.route(splitName, shares...).HTTPRoute
}

// plainRoute leads to the agent whatever revision: it stands in when Serin leaves and nothing else is there.
func (a Agent) plainRoute() *api.HTTPRoute {
	route := a.route(splitName, share{})
	route.Route[0].Destination.Subset = ""

	return route.HTTPRoute
}

type draft struct{ *api.HTTPRoute }

// route makes a route that is never retried by the mesh and never timed out by it: a turn's stream is long, and Serin
// re-sends what is safe itself.
func (a Agent) route(name string, shares ...share) draft {
	return draft{&api.HTTPRoute{Name: name, Route: a.destinations(shares, nil), Retries: &api.HTTPRetry{Attempts: 0}}}
}

// matching adds one match per value of a header.
func (d draft) matching(header string, values ...string) *api.HTTPRoute {
	for _, value := range values {
		exact := &api.StringMatch{MatchType: &api.StringMatch_Exact{Exact: value}}
		d.Match = append(d.Match, &api.HTTPMatchRequest{Headers: map[string]*api.StringMatch{header: exact}})
	}

	return d.HTTPRoute
}

// destinations makes a route's destinations, and keeps those of the old ones that lead to the same.
func (a Agent) destinations(shares []share, old []*api.HTTPRouteDestination) []*api.HTTPRouteDestination {
	made := make([]*api.HTTPRouteDestination, 0, len(shares))

	for _, s := range shares {
		made = append(made, &api.HTTPRouteDestination{Destination: a.destination(s.to), Weight: int32(s.weight)}) //nolint:gosec // 0 to 100
	}

	for i, s := range shares {
		for _, kept := range old {
			if a.target(kept.GetDestination()) == s.to {
				made[i] = kept.DeepCopy()
				made[i].Weight = int32(s.weight) //nolint:gosec // 0 to 100
			}
		}
	}

	return made
}

// shares reads a route's destinations.
func (a Agent) shares(route *api.HTTPRoute) []share {
	shares := make([]share, 0, len(route.GetRoute()))
	for _, d := range route.GetRoute() {
		shares = append(shares, share{a.target(d.GetDestination()), int(d.GetWeight())})
	}

	return shares
}

// catchesAll reports whether nothing that stands behind the route is ever asked.
func catchesAll(route *api.HTTPRoute) bool {
	for _, m := range route.GetMatch() {
		only := &api.HTTPMatchRequest{Uri: m.GetUri(), Name: m.GetName()}
		if m.GetUri() == nil && equal(m, only) || m.GetUri().GetPrefix() == "/" && equal(m, only) {
			return true
		}
	}

	return len(route.GetMatch()) == 0
}
