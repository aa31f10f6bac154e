package xds

import (
	"fmt"
	"slices"

	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
)

// gap is a destination that does not exist.
type gap struct{ field, message string }

// lookup finds the rule of a host.
type lookup func(host string) *networkingv1.DestinationRule

// gaps are the destinations of a VirtualService that do not exist, given the rules.
func (m *model) gaps(virtual *networkingv1.VirtualService, rules lookup) []gap {
	var found []gap

	ports := m.calledOn(virtual)

	for i, route := range virtual.Spec.GetHttp() {
		for j, destination := range route.GetRoute() {
			if message := m.gap(destination.GetDestination(), virtual.GetNamespace(), ports, rules); message != "" {
				found = append(found, gap{fmt.Sprintf("spec.http[%d].route[%d].destination", i, j), message})
			}
		}
	}

	return found
}

// calledOn are the ports on which the hosts of a VirtualService are called.
func (m *model) calledOn(virtual *networkingv1.VirtualService) []uint32 {
	var numbers []uint32

	for _, host := range virtual.Spec.GetHosts() {
		if service := m.services[qualify(host, virtual.GetNamespace())]; service != nil {
			for _, port := range service.entry.Spec.GetPorts() {
				numbers = append(numbers, port.GetNumber())
			}
		}
	}

	return numbers
}

// gap says, in words, what a destination lacks. It is called on ports unless it names one.
func (m *model) gap(destination *networking.Destination, namespace string, ports []uint32, rules lookup) string {
	host := qualify(destination.GetHost(), namespace)
	service := m.services[host]

	if destination.GetPort() != nil {
		ports = []uint32{destination.GetPort().GetNumber()}
	}

	missing := func(port uint32) bool {
		return service.port(port) == nil && (destination.GetPort() != nil || service.port(0) == nil)
	}

	switch {
	case service == nil:
		return "there is no ServiceEntry of host " + host
	case slices.ContainsFunc(ports, missing):
		return fmt.Sprintf("the ServiceEntry of host %s has not all of the ports %d", host, ports)
	case destination.GetSubset() != "" && subset(rules(host), destination.GetSubset()) == nil:
		return fmt.Sprintf("no DestinationRule of host %s has a subset %q", host, destination.GetSubset())
	default:
		return ""
	}
}

// settle keeps routes and subsets together: where a route would name a subset that is not there, whichever of the two
// changed last waits, in its last good version, for the other.
func (t *translator) settle(m *model) {
	held := map[string]*networkingv1.DestinationRule{} // rules that have to stay, by host

	for _, host := range m.hosts() {
		if service := m.services[host]; service.virtual != nil {
			service.virtual = t.settled(m, service.virtual, held)
		}
	}

	for host, rule := range held {
		m.services[host].rule = rule
	}
}

// settled returns the version of a VirtualService that is to be used, and adds to held.
func (t *translator) settled(
	m *model, virtual *networkingv1.VirtualService, held map[string]*networkingv1.DestinationRule,
) *networkingv1.VirtualService {
	current := func(host string) *networkingv1.DestinationRule {
		if rule := held[host]; rule != nil {
			return rule
		}

		return m.rule(host)
	}

	found := m.gaps(virtual, current)
	if len(found) == 0 {
		return virtual
	}

	last, changed := t.last[refOf(virtual)].(*networkingv1.VirtualService)
	changed = changed && stamp(last) != stamp(virtual)

	if changed && len(m.gaps(last, current)) == 0 {
		t.report(virtual, found)

		return last
	}

	if len(m.gaps(virtual, t.lastRule)) == 0 {
		t.hold(virtual, current, held)

		return virtual
	}

	t.report(virtual, found)

	if changed && len(m.gaps(last, t.lastRule)) == 0 {
		t.hold(last, current, held)

		return last
	}

	return virtual // as istiod does: what leads nowhere fails, the rest works
}

func (t *translator) report(virtual *networkingv1.VirtualService, gaps []gap) {
	for _, gap := range gaps {
		t.problem(refOf(virtual), gap.field, "%s", gap.message)
	}
}

// hold keeps the last rules of the hosts where the present ones lack what a VirtualService names.
func (t *translator) hold(
	virtual *networkingv1.VirtualService, current lookup, held map[string]*networkingv1.DestinationRule,
) {
	for _, route := range virtual.Spec.GetHttp() {
		for _, destination := range route.GetRoute() {
			name := destination.GetDestination().GetSubset()
			host := qualify(destination.GetDestination().GetHost(), virtual.GetNamespace())

			if name == "" || subset(current(host), name) != nil {
				continue
			}

			held[host] = t.lastRule(host)
			t.problem(refOf(held[host]), "spec.subsets", "%q is still named by %s: the last rule stays in force", name, refOf(virtual))
		}
	}
}

func (t *translator) lastRule(host string) *networkingv1.DestinationRule { return t.lastRules[host] }
