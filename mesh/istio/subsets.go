package istio

import (
	"slices"
	"strings"

	api "istio.io/api/networking/v1alpha3"
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
	return w.ruleRead && w.ruleTaken && w.hasSubset(revision) && w.ruleMark.decided(r)
}
