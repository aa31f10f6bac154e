package istio

import (
	"slices"
)

// aim is what the agent's routes may say now: the routing, as far as every proxy knows the subsets that it names.
type aim struct {
	pins    []pin
	anchors []string
	exclude []string
	// to is where excluded tenants are led.
	to    string
	split []share
	// waiting says what keeps it from being the routing.
	waiting string
}

// aimAt computes the aim. Its way up is subset, anchor, (propagated), pin and weight; its way down is the reverse. What
// takes a revision back needs nothing and is never held up.
func aimAt(w world, r Routing) aim {
	found := w.found()
	known := func(revision string) bool { return w.knows(found, revision, r) }

	var a aim

	a.pin(w, found, r, known)
	a.share(w, found, r, known)

	a.spare(w, found, r, known)
	a.anchor(w, found, r)

	return a
}

// knows reports whether every proxy knows a revision's subset, as far as that matters: while a withdrawn revision has calls,
// where they go back to counts as known if Serin ever led there, or if the subset is there. A new VirtualService leads to stable alone, which is no more than all proxies
// do without it, until they have its anchors.
func (w world) knows(found []owned, revision string, r Routing) bool {
	stable := revision == r.Intent.Stable
	if w.service == nil {
		return stable && w.usable(revision, r)
	}

	heard := ledTo(found, revision) || anchored(found, revision) && (w.serviceTaken || w.serviceMark.led(revision))
	if !w.urgent(r) || revision == r.Intent.Candidate {
		return heard && w.hasSubset(revision)
	}

	there := w.serviceMark.named(revision) || w.ruleTaken && w.hasSubset(revision)

	return heard || stable && there && slices.ContainsFunc(r.redirected(), func(back string) bool { return ledTo(found, back) })
}

// pin aims pins: each leads where it should as soon as that is known, and stays where it is until then.
func (a *aim) pin(w world, found []owned, r Routing, known func(string) bool) {
	for _, p := range r.pinned() {
		if !known(p.to) {
			a.wait("the anchor of " + p.to + " to reach every proxy")

			i := slices.IndexFunc(found, func(o owned) bool { return o.kind == pinKind && o.revision == p.revision })
			if i < 0 || len(found[i].shares) != 1 || !w.agent.isRevision(found[i].shares[0].to) {
				continue
			}

			p.to = found[i].shares[0].to
		}

		a.pins = append(a.pins, p)
	}
}

// share aims the split: stable alone while the candidate is not known. A candidate without weight stays in it if it is
// there: to pause it and to go on change two numbers. An abort, which has no candidate, leaves stable alone.
func (a *aim) share(w world, found []owned, r Routing, known func(string) bool) {
	stable, candidate, weight := r.Intent.Stable, r.Intent.Candidate, r.Intent.Weight

	switch {
	case !known(stable):
		a.wait("the anchor of " + stable + " to reach every proxy")

		for _, o := range found {
			if o.kind == splitKind && !o.twin {
				a.split = w.kept(o, r)
			}
		}
	case candidate == "" || candidate == stable || !r.live(candidate):
		a.split = []share{{stable, 100}}
	case weight > 0 && !known(candidate), weight == 0 && !splits(found, candidate):
		a.split = []share{{stable, 100}}
	default:
		a.split = []share{{stable, 100 - weight}, {candidate, weight}}
	}
}

// kept is what stays of the split while stable is not known: no share of what is not the agent's, and none of what is
// withdrawn if anything else is left.
func (w world) kept(o owned, r Routing) []share {
	ours := slices.DeleteFunc(slices.Clone(o.shares), func(s share) bool { return !w.agent.isRevision(s.to) })
	serving := slices.DeleteFunc(slices.Clone(ours), func(s share) bool { return r.withdrawn(s.to) })

	if len(serving) > 0 {
		ours = serving
	}

	switch {
	case len(ours) == len(o.shares):
		return ours
	case len(ours) > 0:
		return filled(ours)
	case o.late: // nothing ever comes to it
		return nil
	default:
		return o.shares
	}
}

// filled gives the first what is missing to 100.
func filled(shares []share) []share {
	missing := 100
	for _, s := range shares {
		missing -= s.weight
	}

	shares[0].weight = max(0, shares[0].weight+missing)

	return shares
}

// spare aims the route of excluded tenants. Its name may be taken: then they are split like all others, and nothing but
// what takes traffic back is written.
func (a *aim) spare(w world, found []owned, r Routing, known func(string) bool) {
	switch {
	case w.squatted(r) != "":
		return
	case known(r.Intent.Stable):
		a.exclude, a.to = slices.Sorted(slices.Values(r.ExcludedTenants)), r.Intent.Stable

		return
	}

	for _, o := range found {
		if o.kind == excludeKind && !o.odd && len(o.shares) == 1 && w.agent.isRevision(o.shares[0].to) && !r.withdrawn(o.shares[0].to) {
			a.exclude, a.to = o.matches, o.shares[0].to
		}
	}
}

// anchor aims anchors: one comes when every proxy has its subset, and goes when every proxy has heard that nothing leads
// to its revision any more.
func (a *aim) anchor(w world, found []owned, r Routing) {
	for _, o := range found {
		switch {
		case o.kind != anchorKind || o.twin || o.astray() && !w.usable(o.revision, r):
		case r.live(o.revision):
			a.anchors = append(a.anchors, o.revision)
		case a.holds(w, found, o.revision):
			a.wait("the routes without " + o.revision + " to reach every proxy")
			a.anchors = append(a.anchors, o.revision)
		}
	}

	for _, revision := range r.serving() {
		switch {
		case slices.Contains(a.anchors, revision):
		case w.usable(revision, r):
			a.anchors = append(a.anchors, revision)
		default:
			a.wait("the subset of " + revision + " to reach every proxy")
		}
	}
}

// holds reports whether the anchor of a revision that is not live must stay a while.
func (a *aim) holds(w world, found []owned, revision string) bool {
	if w.ruleRead && !w.hasSubset(revision) { // someone took the subset: it anchors nothing
		return a.leads(revision)
	}

	return a.leads(revision) || ledTo(found, revision) || !w.serviceTaken
}

func (a *aim) wait(why string) { a.waiting = joined(a.waiting, why) }

// leads reports whether the aim leads anything to a revision.
func (a *aim) leads(revision string) bool {
	return slices.ContainsFunc(a.pins, func(p pin) bool { return p.to == revision }) ||
		slices.ContainsFunc(a.split, func(s share) bool { return s.to == revision }) || a.to == revision && len(a.exclude) > 0
}

func anchored(found []owned, revision string) bool {
	return slices.ContainsFunc(found, func(o owned) bool {
		return o.kind == anchorKind && o.revision == revision && !o.astray()
	})
}

func splits(found []owned, revision string) bool {
	return slices.ContainsFunc(found, func(o owned) bool {
		return o.kind == splitKind && slices.ContainsFunc(o.shares, func(s share) bool { return s.to == revision })
	})
}

func ledTo(found []owned, revision string) bool {
	return slices.ContainsFunc(found, func(o owned) bool { return o.leads(revision) })
}
