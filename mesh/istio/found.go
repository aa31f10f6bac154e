package istio

import (
	"cmp"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	"k8s.io/apimachinery/pkg/types"
)

// sighting is the last mark that was read of a VirtualService.
type sighting struct {
	uid  types.UID
	mark mark
}

func (r *Router) known(agent Agent) names {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.found[agent.host()]
}

// remember keeps the names that are given.
func (r *Router) remember(agent Agent, n names) {
	r.mu.Lock()
	defer r.mu.Unlock()

	old := r.found[agent.host()]
	r.found[agent.host()] = names{cmp.Or(n.service, old.service), cmp.Or(n.rule, old.rule)}
}

// forget makes the next reading look for the agent's objects again; what was read of them still counts.
func (r *Router) forget(agent Agent) {
	r.mu.Lock()
	defer r.mu.Unlock()

	delete(r.found, agent.host())
}

// drop forgets all about an agent.
func (r *Router) drop(agent Agent) {
	r.forget(agent)

	r.mu.Lock()
	defer r.mu.Unlock()

	delete(r.seen, agent.host())
}

// recall reads the mark of a VirtualService. If someone spoilt it, or took it away from among Serin's routes, the one that
// was read last goes on to count: an older decision must not come back by that.
func (r *Router) recall(agent Agent, service *networking.VirtualService) mark {
	m := readMark(service)

	r.mu.Lock()
	defer r.mu.Unlock()

	if m.there() {
		r.seen[agent.host()] = sighting{service.UID, m}

		return m
	}

	last, ok := r.seen[agent.host()]
	if !ok || last.uid != service.UID || m.raw == nil && !agent.routed(service.Spec.GetHttp()) {
		return m
	}

	last.mark.raw, last.mark.spoilt = m.raw, true

	return last.mark
}
