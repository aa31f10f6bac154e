package xds

import (
	"cmp"
	"fmt"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serinhq/serin/mesh/xds/objects"
)

// Options say what a translation depends on besides the objects. Zero values are Istio's defaults.
type Options struct {
	// TrustDomain is that of all workloads; default cluster.local.
	TrustDomain string
	// RootNamespace holds policies for all namespaces; default istio-system.
	RootNamespace string
}

func (o Options) withDefaults() Options {
	o.TrustDomain = cmp.Or(o.TrustDomain, "cluster.local")
	o.RootNamespace = cmp.Or(o.RootNamespace, "istio-system")

	return o
}

// translator translates again and again: it makes anew only what changed, and knows last good versions.
type translator struct {
	options Options

	inspected memo[*problems]
	made      memo[[]made]
	problems  []Problem
	// substitutes are the objects in whose place something else stands that nobody wrote.
	substitutes map[Ref]bool

	// last are the objects as they were used, by reference and, for rules, by host.
	last      map[Ref]metav1.Object
	lastRules map[string]*networkingv1.DestinationRule
}

// made is a resource and its type.
type made struct {
	kind     Type
	resource *Resource
}

func newTranslator(options Options) *translator {
	return &translator{options: options.withDefaults()}
}

func (t *translator) translate(given objects.Snapshot) (Resources, []Problem) {
	t.problems, t.substitutes = nil, map[Ref]bool{}
	chosen := t.choose(given)
	m := t.model(chosen)
	t.settle(m)
	resources := t.build(m)
	t.remember(chosen, m)

	return resources, t.problems
}

func (t *translator) problem(object Ref, field, format string, args ...any) {
	t.problems = append(t.problems, Problem{object, field, fmt.Sprintf(format, args...)})
}

// build makes every resource.
func (t *translator) build(m *model) Resources {
	resources := newResources()

	for _, host := range m.hosts() {
		service := m.services[host]

		for _, unit := range [][]made{t.listeners(service), t.routes(m, service), t.clusters(service), t.endpoints(service)} {
			resources.put(unit)
		}
	}

	for _, entry := range m.entries {
		resources.put(t.inbound(m, entry))
	}

	return resources
}

// put adds what is not there: of two entries for one address, the newer one comes first.
func (r Resources) put(unit []made) {
	for _, made := range unit {
		if r.Get(made.kind, made.resource.Name) == nil {
			r.add(made.kind, made.resource)
		}
	}
}

// remember keeps what was used for the next time, but for substitutes.
func (t *translator) remember(chosen objects.Snapshot, m *model) {
	t.last, t.lastRules = map[Ref]metav1.Object{}, map[string]*networkingv1.DestinationRule{}
	recall(t, chosen.VirtualServices)
	recall(t, chosen.DestinationRules)
	recall(t, chosen.ServiceEntries)
	recall(t, chosen.WorkloadEntries)
	recall(t, chosen.AuthorizationPolicies)
	recall(t, chosen.PeerAuthentications)

	for host, service := range m.services {
		if service.rule != nil {
			recall(t, []*networkingv1.DestinationRule{service.rule})

			t.lastRules[host] = service.rule
		}

		if service.virtual != nil {
			recall(t, []*networkingv1.VirtualService{service.virtual})
		}
	}

	t.inspected.turn()
	t.made.turn()
}

func recall[T metav1.Object](t *translator, used []T) {
	for _, object := range used {
		if !t.substitutes[refOf(object)] {
			t.last[refOf(object)] = object
		}
	}
}
