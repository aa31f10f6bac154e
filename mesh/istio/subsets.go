package istio

import (
	"slices"
	"strings"

	api "istio.io/api/networking/v1alpha3"
	networking "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// subset is one of Serin's subsets in a DestinationRule as it is.
type subset struct {
	index    int
	revision string
}

func (w world) allSubsets() []*api.Subset {
	if w.rule == nil {
		return nil
	}

	return w.rule.Spec.GetSubsets()
}

// subsets finds Serin's subsets: by their names and by what they select. All others are foreign.
func (w world) subsets() []subset {
	var found []subset

	for i, s := range w.allSubsets() {
		revision, ok := strings.CutPrefix(s.GetName(), subsetPrefix)
		if ok && len(s.GetLabels()) == 1 && s.GetLabels()[RevisionLabel] == revision {
			found = append(found, subset{i, revision})
		}
	}

	return found
}

func describeSubsets(found []subset) map[string]string {
	revisions := make([]string, 0, len(found))
	for _, s := range found {
		revisions = append(revisions, s.revision)
	}

	slices.Sort(revisions)

	if len(revisions) == 0 {
		return map[string]string{}
	}

	return map[string]string{"subsets": strings.Join(revisions, " ")}
}

func (w world) hasSubset(revision string) bool {
	return slices.ContainsFunc(w.subsets(), func(s subset) bool { return s.revision == revision })
}

// usurped says who has the name of a revision's subset without being it. A subset is never redefined.
func (w world) usurped(revision string) string {
	for _, s := range w.allSubsets() {
		if s.GetName() == subsetPrefix+revision && !w.hasSubset(revision) {
			return "DestinationRule " + w.ruleName + ": subset " + s.GetName() + " does not select by the one label " +
				RevisionLabel + ": " + revision + "; rename or remove it"
		}
	}

	return ""
}

// usable reports whether a route may newly name a revision's subset: it is there, every proxy has it, and the rule
// carries this decision, so that no older one can take it away.
func (w world) usable(revision string, r Routing) bool {
	return w.ruleRead && w.ruleTaken && w.hasSubset(revision) && decided(w.ruleMark, r)
}

// decided reports whether the mark carries the routing's decision.
func decided(m mark, r Routing) bool { return m.there() && m.Intent == r.Intent }

// planSubsets plans the next write to the DestinationRule. Routes come first: it is asked once they have nothing to write.
func planSubsets(w world, r Routing) step {
	if w.rule == nil {
		return step{create: w.newRule(r)}
	}

	var (
		change  patch
		problem string
		waiting string
	)

	left := w.subsets()

	for _, s := range slices.Backward(left) {
		if r.live(s.revision) {
			continue
		}

		switch why, who := w.needed(s.revision, r); {
		case who != "":
			problem = joined(problem, who+" names subset "+subsetPrefix+s.revision+", which stays until it does not")
		case why != "":
			waiting = joined(waiting, why)
		default:
			change.test(at("spec", "subsets", s.index, "name"), subsetPrefix+s.revision)
			change.remove(at("spec", "subsets", s.index))
			left = slices.DeleteFunc(slices.Clone(left), func(l subset) bool { return l == s })
		}
	}

	if len(w.allSubsets()) == 0 && len(w.missing(r)) > 0 {
		change.start(w.rule, at("spec", "subsets"))
	}

	for _, revision := range w.missing(r) {
		change.add(at("spec", "subsets", "-"), newSubset(revision))
		left = append(left, subset{revision: revision})
	}

	if change.empty() && !(w.opening(r) && !decided(w.ruleMark, r)) {
		return step{waiting: waiting, problem: problem}
	}

	change.mark(w.rule, w.ruleMark, w.ruleMark.next(r.Intent, describeSubsets(left), nil))

	return step{name: w.ruleName, rule: &change, waiting: waiting, problem: problem}
}

// needed says why a subset can't go: what it waits for, or who else uses it.
func (w world) needed(revision string, r Routing) (waiting, who string) {
	name := subsetPrefix + revision

	for _, o := range w.found() {
		if o.kind == anchorKind && o.revision == revision || o.leads(revision) {
			return "the routes of " + revision + " to go", ""
		}
	}

	switch {
	case w.agent.names(w.service, name):
		return "", "VirtualService " + w.serviceName
	case w.elsewhere[name] != "":
		return "", "VirtualService " + w.elsewhere[name]
	case !w.serviceTaken || !decided(w.serviceMark, r):
		return "VirtualService " + w.serviceName + " without " + revision + " to reach every proxy", ""
	default:
		return "", ""
	}
}

// missing are the revisions that lack a subset.
func (w world) missing(r Routing) []string {
	return slices.DeleteFunc(r.serving(), func(revision string) bool {
		return w.hasSubset(revision) || w.usurped(revision) != ""
	})
}

// opening reports whether routes will newly name a subset.
func (w world) opening(r Routing) bool {
	return slices.ContainsFunc(r.serving(), func(revision string) bool { return !anchored(w.found(), revision) })
}

func newSubset(revision string) *api.Subset {
	return &api.Subset{Name: subsetPrefix + revision, Labels: map[string]string{RevisionLabel: revision}}
}

func (w world) newRule(r Routing) *networking.DestinationRule {
	rule := &networking.DestinationRule{ObjectMeta: w.agent.meta(w.ruleName)}
	rule.Spec.Host = w.agent.host()

	var subsets []subset

	for _, revision := range r.serving() {
		rule.Spec.Subsets = append(rule.Spec.Subsets, newSubset(revision))
		subsets = append(subsets, subset{revision: revision})
	}

	rule.Annotations = map[string]string{IntentAnnotation: mark{}.next(r.Intent, describeSubsets(subsets), nil).String()}

	return rule
}

func (a Agent) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: a.Namespace, Name: name, Labels: map[string]string{managedLabel: manager}}
}

// names reports whether any route of a VirtualService names a subset of the agent.
func (a Agent) names(service *networking.VirtualService, name string) bool {
	return slices.ContainsFunc(destinations(service), func(d *api.Destination) bool {
		return d.GetSubset() == name && a.is(d.GetHost())
	})
}

// destinations are all that a VirtualService leads to.
func destinations(service *networking.VirtualService) []*api.Destination {
	var all []*api.Destination

	if service == nil {
		return nil
	}

	for _, route := range service.Spec.GetHttp() {
		all = append(all, route.GetMirror())

		for _, d := range route.GetMirrors() {
			all = append(all, d.GetDestination())
		}

		for _, d := range route.GetRoute() {
			all = append(all, d.GetDestination())
		}
	}

	for _, route := range service.Spec.GetTcp() {
		for _, d := range route.GetRoute() {
			all = append(all, d.GetDestination())
		}
	}

	for _, route := range service.Spec.GetTls() {
		for _, d := range route.GetRoute() {
			all = append(all, d.GetDestination())
		}
	}

	return all
}
