package xds

import (
	"cmp"
	"maps"
	"slices"

	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// service is one host and what belongs to it.
type service struct {
	host  string
	entry *networkingv1.ServiceEntry
	// workloads are all that the entry selects, ready or not.
	workloads []*networkingv1.WorkloadEntry
	rule      *networkingv1.DestinationRule
	virtual   *networkingv1.VirtualService
}

// model is the objects as they are looked up.
type model struct {
	services        map[string]*service
	entries         []*networkingv1.WorkloadEntry // the newest first
	policies        []*securityv1.AuthorizationPolicy
	authentications []*securityv1.PeerAuthentication
	// ports are those of the services that select a workload.
	ports map[*networkingv1.WorkloadEntry][]servicePort
}

// servicePort is a port of a service, as a workload that serves it needs to know.
type servicePort struct {
	name   string
	number uint32
}

// port returns the port of a number, nil if there is none; 0 stands for the only one.
func (s *service) port(number uint32) *networking.ServicePort {
	ports := s.entry.Spec.GetPorts()
	if number == 0 && len(ports) == 1 {
		return ports[0]
	}

	for _, port := range ports {
		if port.GetNumber() == number {
			return port
		}
	}

	return nil
}

// subset returns the labels' holder of a name, nil if there is none.
func subset(rule *networkingv1.DestinationRule, name string) *networking.Subset {
	if rule == nil {
		return nil
	}

	for _, subset := range rule.Spec.GetSubsets() {
		if subset.GetName() == name {
			return subset
		}
	}

	return nil
}

// selects reports whether all labels of a selector are there.
func selects(selector, labels map[string]string) bool {
	for name, value := range selector {
		if have, ok := labels[name]; !ok || have != value {
			return false
		}
	}

	return true
}

// older orders objects by age, as Istio does when two claim the same.
func older[T metav1.Object](a, b T) int {
	return cmp.Or(
		a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time),
		cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()),
	)
}

func byAge[T metav1.Object](list []T) []T { return slices.SortedFunc(slices.Values(list), older[T]) }

func newestFirst[T metav1.Object](list []T) []T {
	sorted := byAge(list)
	slices.Reverse(sorted)

	return sorted
}

func (m *model) hosts() []string { return slices.Sorted(maps.Keys(m.services)) }

// rule returns the DestinationRule of a host, nil if there is none.
func (m *model) rule(host string) *networkingv1.DestinationRule {
	if service := m.services[host]; service != nil {
		return service.rule
	}

	return nil
}
