package istio

import (
	"cmp"
	"slices"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// chooseService picks the VirtualService that steers the agent: the one with the mark, or with the agent's name, or the
// oldest, which is the one that takes effect.
func (r *Router) chooseService(w *world, all []*networking.VirtualService) {
	serving := slices.DeleteFunc(slices.Clone(all), func(s *networking.VirtualService) bool { return !w.agent.served(s) })
	taken := func(name string) bool {
		return slices.ContainsFunc(all, func(s *networking.VirtualService) bool { return s.Name == name })
	}

	w.serviceName = w.agent.free(taken)

	if len(serving) == 0 {
		return
	}

	w.service = slices.MinFunc(serving, func(a, b *networking.VirtualService) int { return w.agent.rank(a, b) })
	w.serviceName = w.service.Name

	for _, s := range serving {
		if s != w.service {
			w.rivals = append(w.rivals, s.Name)
		}
	}

	if len(w.rivals) == 0 && readMark(w.service).raw != nil {
		r.remember(w.agent, names{service: w.serviceName})
	}
}

func (r *Router) chooseRule(w *world, all []*networking.DestinationRule) {
	ruling := slices.DeleteFunc(slices.Clone(all), func(d *networking.DestinationRule) bool { return !w.agent.ruled(d) })
	taken := func(name string) bool {
		return slices.ContainsFunc(all, func(d *networking.DestinationRule) bool { return d.Name == name })
	}

	w.ruleName = w.agent.free(taken)
	w.defined = map[string]bool{}

	for _, d := range ruling {
		for _, s := range d.Spec.GetSubsets() {
			w.defined[s.GetName()] = true
		}
	}

	if len(ruling) == 0 {
		return
	}

	w.rule = slices.MinFunc(ruling, func(a, b *networking.DestinationRule) int { return w.agent.rank(a, b) })
	w.ruleName = w.rule.Name

	if readMark(w.rule).raw != nil {
		r.remember(w.agent, names{rule: w.ruleName})
	}
}

// served reports whether a VirtualService steers calls to the agent inside the mesh.
func (a Agent) served(service *networking.VirtualService) bool {
	gateways := service.Spec.GetGateways()
	mesh := len(gateways) == 0 || slices.Contains(gateways, "mesh")

	return mesh && slices.ContainsFunc(service.Spec.GetHosts(), a.is)
}

// ruled reports whether a DestinationRule is for the agent, and for all its callers.
func (a Agent) ruled(rule *networking.DestinationRule) bool {
	return a.is(rule.Spec.GetHost()) && len(rule.Spec.GetWorkloadSelector().GetMatchLabels()) == 0
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
