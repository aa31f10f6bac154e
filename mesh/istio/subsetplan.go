package istio

import (
	"math"
	"slices"

	api "istio.io/api/networking/v1alpha3"
	networking "istio.io/client-go/pkg/apis/networking/v1"
)

// planSubsets plans the next write to the DestinationRule. Routes come first: it is asked once they have nothing to write.
func planSubsets(w world, r Routing) step {
	if w.rule == nil {
		return step{create: w.newRule(r)}
	}

	e := &subsetEditor{left: w.subsets()}
	e.takeAway(w, r)
	e.bring(w, r)

	lost := w.ruleMark.missing(len(w.subsets()) > 0) != ""
	if !e.empty() || lost || w.opening(r) && !w.ruleMark.decided(r) {
		e.mark(w.rule, w.ruleMark, w.ruleMark.next(r, describeSubsets(e.left), nil))
		e.name, e.rule = w.ruleName, &e.patch
	}

	return e.step
}

// subsetEditor changes the subsets of a DestinationRule.
type subsetEditor struct {
	patch
	step

	// left are the subsets that there will be.
	left []subset
}

// takeAway removes the subsets of revisions that are not live, if nothing needs them.
func (e *subsetEditor) takeAway(w world, r Routing) {
	for _, s := range slices.Backward(w.subsets()) {
		if r.live(s.revision) {
			continue
		}

		switch why, who := w.needed(s.revision); {
		case who != "":
			e.problem = joined(e.problem, who+" names subset "+subsetPrefix+s.revision+", which stays until it does not")
		case why != "":
			e.waiting = joined(e.waiting, why)
		default:
			e.test(at("spec", "subsets", s.index, "name"), subsetPrefix+s.revision)
			e.remove(at("spec", "subsets", s.index))
			e.left = slices.DeleteFunc(e.left, func(l subset) bool { return l == s })
		}
	}
}

// bring adds the subsets that are missing.
func (e *subsetEditor) bring(w world, r Routing) {
	missing := w.missing(r)
	if len(w.allSubsets()) == 0 && len(missing) > 0 {
		e.start(w.rule, at("spec", "subsets"))
	}

	for _, revision := range missing {
		e.add(at("spec", "subsets", "-"), newSubset(revision))
		e.left = append(e.left, subset{revision: revision})
	}
}

// needed says why a subset can't go: what it waits for, or who else uses it.
func (w world) needed(revision string) (waiting, who string) {
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
	case !w.serviceTaken:
		return "VirtualService " + w.serviceName + " without " + revision + " to reach every proxy", ""
	default:
		return "", ""
	}
}

// missing are the revisions that lack a subset. Withdrawn ones need theirs only while routes name it.
func (w world) missing(r Routing) []string {
	return slices.DeleteFunc(slices.Clone(r.Live), func(revision string) bool {
		unneeded := r.withdrawn(revision) && !w.agent.names(w.service, subsetPrefix+revision)

		return unneeded || w.hasSubset(revision) || w.usurped(revision) != ""
	})
}

// opening reports whether routes will newly name a subset.
func (w world) opening(r Routing) bool {
	return slices.ContainsFunc(r.serving(), func(revision string) bool { return !anchored(w.found(), revision) })
}

func newSubset(revision string) *api.Subset {
	return &api.Subset{Name: subsetPrefix + revision, Labels: map[string]string{RevisionLabel: revision}}
}

// newPolicy has clients without a sidecar speak mTLS, and hold as many requests open as there are: they do so only where a
// rule says so, and take 1,024 for the most (gRFC A32). With a sidecar both are so anyway.
func newPolicy() *api.TrafficPolicy {
	return &api.TrafficPolicy{
		Tls: &api.ClientTLSSettings{Mode: api.ClientTLSSettings_ISTIO_MUTUAL},
		ConnectionPool: &api.ConnectionPoolSettings{
			Http: &api.ConnectionPoolSettings_HTTPSettings{Http2MaxRequests: math.MaxInt32},
		},
	}
}

// ownPolicy reports whether nobody but Serin has said how to reach the agent; earlier releases spoke of mTLS alone.
func ownPolicy(policy *api.TrafficPolicy) bool {
	earlier := &api.TrafficPolicy{Tls: newPolicy().GetTls()}

	return policy == nil || equal(policy, newPolicy()) || equal(policy, earlier)
}

func (w world) newRule(r Routing) *networking.DestinationRule {
	rule := &networking.DestinationRule{ObjectMeta: w.agent.meta(w.ruleName)}
	rule.Spec.Host = w.agent.host()
	rule.Spec.TrafficPolicy = newPolicy()

	subsets := make([]subset, 0, len(r.Live))

	for _, revision := range r.serving() {
		rule.Spec.Subsets = append(rule.Spec.Subsets, newSubset(revision))
		subsets = append(subsets, subset{revision: revision})
	}

	rule.Annotations = map[string]string{IntentAnnotation: mark{}.next(r, describeSubsets(subsets), nil).String()}

	return rule
}
