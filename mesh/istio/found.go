package istio

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

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

// free is the name for a new object.
func (a Agent) free(taken func(string) bool) string {
	if taken(a.Name) {
		return a.reserve()
	}

	return a.Name
}

// rank orders objects that are all for the agent: marked, of the agent's name, older, and by name.
func (a Agent) rank(x, y metav1.Object) int {
	created, other := x.GetCreationTimestamp().Time, y.GetCreationTimestamp().Time

	return cmp.Or(
		first(readMark(x).raw != nil, readMark(y).raw != nil),
		first(x.GetName() == a.Name, y.GetName() == a.Name),
		created.Compare(other),
		cmp.Compare(x.GetName(), y.GetName()),
	)
}

func first(x, y bool) int {
	switch {
	case x && !y:
		return -1
	case y && !x:
		return 1
	default:
		return 0
	}
}
