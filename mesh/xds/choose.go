package xds

import (
	"strings"

	security "istio.io/api/security/v1beta1"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serinhq/serin/mesh/xds/objects"
)

// choose replaces each object that has a problem by its last good version, or leaves it out if there is none.
func (t *translator) choose(given objects.Snapshot) objects.Snapshot {
	return objects.Snapshot{
		Version:               given.Version,
		VirtualServices:       usable(t, given.VirtualServices, t.routeNothing),
		DestinationRules:      usable(t, given.DestinationRules, nil),
		ServiceEntries:        usable(t, given.ServiceEntries, nil),
		WorkloadEntries:       usable(t, given.WorkloadEntries, nil),
		AuthorizationPolicies: usable(t, given.AuthorizationPolicies, denyAll),
		PeerAuthentications:   usable(t, given.PeerAuthentications, nil),
	}
}

// usable keeps what translates. instead, if there is one, makes a substitute for what has no good version.
func usable[T metav1.Object](t *translator, given []T, instead func(T) T) []T {
	chosen := make([]T, 0, len(given))

	for _, object := range given {
		found := t.inspected.get(stamp(object), func() *problems { return inspect(object) })
		if len(found.list) == 0 {
			chosen = append(chosen, object)

			continue
		}

		t.problems = append(t.problems, found.list...)

		if last, ok := t.last[refOf(object)].(T); ok {
			chosen = append(chosen, last)
		} else if instead != nil {
			t.substitutes[refOf(object)] = true
			chosen = append(chosen, instead(object))
		}
	}

	return chosen
}

// routeNothing stands for routes that there are none of: without it, the calls would go to the whole service, and so to
// revisions that nobody meant to have any.
func (t *translator) routeNothing(object *networkingv1.VirtualService) *networkingv1.VirtualService {
	t.problem(refOf(object), "spec.hosts", "no earlier version of this was good: calls to %s fail until it is mended",
		strings.Join(object.Spec.GetHosts(), ", "))

	nothing := &networkingv1.VirtualService{ObjectMeta: object.ObjectMeta}
	nothing.Spec.Hosts = object.Spec.GetHosts()

	return nothing
}

// denyAll stands for a policy that cannot be enforced as it is written: nobody may.
func denyAll(object *securityv1.AuthorizationPolicy) *securityv1.AuthorizationPolicy {
	deny := &securityv1.AuthorizationPolicy{ObjectMeta: object.ObjectMeta}
	deny.Spec.Selector = object.Spec.GetSelector()
	deny.Spec.Action = security.AuthorizationPolicy_DENY
	deny.Spec.Rules = []*security.Rule{{}}

	return deny
}

// claim gives each host to the oldest object that names it.
func claim[T metav1.Object](t *translator, list []T, hosts func(T) []string, field string) map[string]T {
	claimed := map[string]T{}

	for _, object := range byAge(list) {
		for _, host := range hosts(object) {
			host = qualify(host, object.GetNamespace())

			if holder, taken := claimed[host]; taken {
				t.problem(refOf(object), field, "%s belongs to %s already", host, refOf(holder))

				continue
			}

			claimed[host] = object
		}
	}

	return claimed
}

func (t *translator) model(chosen objects.Snapshot) *model {
	m := &model{
		services: map[string]*service{}, entries: newestFirst(chosen.WorkloadEntries),
		policies: chosen.AuthorizationPolicies, authentications: chosen.PeerAuthentications,
		ports: map[*networkingv1.WorkloadEntry][]servicePort{},
	}

	services := claim(t, chosen.ServiceEntries, func(e *networkingv1.ServiceEntry) []string { return e.Spec.GetHosts() }, "spec.hosts")
	for host, entry := range services {
		m.services[host] = &service{host: host, entry: entry, workloads: m.selected(entry)}
	}

	rules := claim(t, chosen.DestinationRules, func(r *networkingv1.DestinationRule) []string { return []string{r.Spec.GetHost()} }, "spec.host")
	virtuals := claim(t, chosen.VirtualServices, func(v *networkingv1.VirtualService) []string { return v.Spec.GetHosts() }, "spec.hosts")

	for host, service := range m.services {
		service.rule, service.virtual = rules[host], virtuals[host]
	}

	return m
}

// selected are the workloads of a service entry; the entry's ports are noted with each.
func (m *model) selected(entry *networkingv1.ServiceEntry) []*networkingv1.WorkloadEntry {
	var found []*networkingv1.WorkloadEntry

	for _, workload := range m.entries {
		if workload.GetNamespace() != entry.GetNamespace() ||
			!selects(entry.Spec.GetWorkloadSelector().GetLabels(), workload.Spec.GetLabels()) {
			continue
		}

		found = append(found, workload)

		for _, port := range entry.Spec.GetPorts() {
			m.ports[workload] = append(m.ports[workload], servicePort{port.GetName(), port.GetNumber()})
		}
	}

	return found
}
