package canary

import (
	"maps"
	"slices"
)

// Want says what the world should look like in a state.
func Want(state State) Wanted {
	if state.Stable == "" {
		return Wanted{}
	}

	return Wanted{
		Workloads: state.revisions(func(Leaving) bool { return true }),
		Share:     max(state.Weight, state.goal()),
		Intent: Intent{
			Attempt: state.Attempt, Seq: state.Seq, Phase: state.Phase,
			Stable: state.Stable, Candidate: state.Candidate, Weight: state.Weight,
		},
		Live:        state.revisions(func(l Leaving) bool { return !l.Gone }),
		Redirects:   state.redirects(),
		Withdrawals: slices.Clone(state.Withdrawals),
	}
}

// revisions returns the stable revision, the candidate, the one before, and those leaving that are kept.
func (s State) revisions(keep func(Leaving) bool) []string {
	all := []string{s.Stable}

	for _, revision := range []string{s.Candidate, s.Previous} {
		if revision != "" {
			all = append(all, revision)
		}
	}

	for _, leaving := range s.Leaving {
		if keep(leaving) {
			all = append(all, leaving.Revision)
		}
	}

	return all
}

func (s State) redirects() map[string]string {
	redirects := map[string]string{}

	for _, leaving := range s.Leaving {
		if leaving.Successor != "" && !leaving.Gone {
			redirects[leaving.Revision] = leaving.Successor
		}
	}

	return redirects
}

// routesAs reports whether the mesh shall carry the same.
func (w Wanted) routesAs(other Wanted) bool {
	return w.Intent == other.Intent && w.besides(other)
}

// besides reports whether the mesh shall have the same routes, whatever their weights.
func (w Wanted) besides(other Wanted) bool {
	return slices.Equal(w.Live, other.Live) && maps.Equal(w.Redirects, other.Redirects)
}
