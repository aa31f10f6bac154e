package istio

import "cmp"

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

// forget makes the next reading look for the agent's objects again.
func (r *Router) forget(agent Agent) {
	r.mu.Lock()
	defer r.mu.Unlock()

	delete(r.found, agent.host())
}
