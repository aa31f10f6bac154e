package istio

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
)

// The phases in which a rollout goes back: nothing holds their writes up.
const (
	phaseAborting = "Aborting"
	phaseFailed   = "Failed"
)

func (r Routing) validate() error {
	switch i := r.Intent; {
	case !slices.Contains(r.Live, i.Stable):
		return fmt.Errorf("routing: stable revision %q is not among the live ones %v", i.Stable, r.Live)
	case i.Weight < 0 || i.Weight > 100:
		return fmt.Errorf("routing: weight %d, must be 0 to 100", i.Weight)
	case i.Weight > 0 && !slices.Contains(r.Live, i.Candidate):
		return fmt.Errorf("routing: candidate %q has weight %d but is not among the live revisions %v", i.Candidate, i.Weight, r.Live)
	case i.Weight > 0 && r.withdrawn(i.Candidate):
		return fmt.Errorf("routing: candidate %q has weight %d but is withdrawn", i.Candidate, i.Weight)
	case r.withdrawn(i.Stable):
		return fmt.Errorf("routing: stable revision %q is withdrawn", i.Stable)
	}

	return nil
}

// abort reports whether the routing is of a rollout that goes back.
func (r Routing) abort() bool {
	return r.Intent.Phase == phaseAborting || r.Intent.Phase == phaseFailed
}

func (r Routing) withdrawn(revision string) bool { _, ok := r.Redirects[revision]; return ok }

func (r Routing) live(revision string) bool { return slices.Contains(r.Live, revision) }

func (r Routing) redirected() []string { return slices.Sorted(maps.Keys(r.Redirects)) }

// leads reports whether the routing may lead calls to a revision.
func (r Routing) leads(revision string) bool {
	return !r.withdrawn(revision) && (revision == r.Intent.Stable || revision == r.Intent.Candidate || r.live(revision))
}

// knows reports whether the routing is about a revision at all.
func (r Routing) knows(revision string) bool { return r.live(revision) || r.withdrawn(revision) }

// digest is of what is numbered beside the Intent. Excluded tenants are not: they come from the declaration.
func (r Routing) digest() string {
	text := fmt.Sprintf("%q %q", slices.Sorted(slices.Values(r.Live)), r.Redirects) // fmt sorts maps

	return fmt.Sprintf("%x", sha256.Sum256([]byte(text)))[:12]
}

// serving are the live revisions that traffic may be led to.
func (r Routing) serving() []string {
	return slices.DeleteFunc(slices.Clone(r.Live), r.withdrawn)
}

// pinned are the revisions that have a pin route, with the revision that it leads to.
func (r Routing) pinned() []pin {
	pins := make([]pin, 0, len(r.Live)+len(r.Redirects))

	for _, revision := range r.Live {
		pins = append(pins, pin{revision, revision})
	}

	for _, revision := range r.redirected() {
		pins = slices.DeleteFunc(pins, func(p pin) bool { return p.revision == revision })
		pins = append(pins, pin{revision, r.successor(revision)})
	}

	return pins
}

// successor is where a withdrawn revision's pins lead: redirects are followed to one that is live and not withdrawn, and to
// stable where they lead nowhere.
func (r Routing) successor(revision string) string {
	for range r.Redirects {
		revision = r.Redirects[revision]
		if r.live(revision) && !r.withdrawn(revision) {
			return revision
		}
	}

	return r.Intent.Stable
}

type pin struct{ revision, to string }

// newer reports whether a was decided after b.
func newer(a, b Intent) bool {
	return a.Attempt > b.Attempt || a.Attempt == b.Attempt && a.Seq > b.Seq
}

func key(i *Intent) string {
	if i == nil {
		return "no decision"
	}

	return fmt.Sprintf("attempt %d decision %d", i.Attempt, i.Seq)
}
