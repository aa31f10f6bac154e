package istio

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	api "istio.io/api/networking/v1alpha3"
)

type kind int

const (
	pinKind kind = iota
	anchorKind
	excludeKind
	splitKind
)

// parts are the names that marks have for the kinds.
var parts = [...]string{"pins", "anchors", excludeName, splitName}

// owned is one of Serin's routes in a VirtualService as it is.
type owned struct {
	index int
	kind  kind
	// revision is of pins and anchors.
	revision string
	// matches are the values that its matches ask for; odd, that someone changed them to something else.
	matches []string
	shares  []share
	odd     bool
	// late says that a route before it takes what it should get; twin, that there was one of this name before.
	late, twin bool
}

// survey finds Serin's routes. All others are foreign: they are neither changed nor understood.
func (a Agent) survey(routes []*api.HTTPRoute, m mark) []owned {
	var (
		found    []owned
		seen     = map[string]bool{}
		excluded bool
		closed   bool
	)

	for i, route := range routes {
		o, ok := a.recognise(route, m)
		if !ok {
			closed = closed || catchesAll(route)

			continue
		}

		o.index, o.twin = i, seen[route.GetName()]
		o.late = closed || excluded && o.kind <= anchorKind
		seen[route.GetName()] = true
		closed = closed || o.kind == splitKind
		excluded = excluded || o.kind == excludeKind
		found = append(found, o)
	}

	return found
}

// recognise says whether a route is Serin's: by its name, and, since anyone may give a route that name, by what it matches
// and leads to, or the mark that remembers it.
func (a Agent) recognise(route *api.HTTPRoute, m mark) (owned, bool) {
	name := route.GetName()
	o := owned{shares: a.shares(route)}

	switch {
	case name == splitName:
		o.kind, o.odd = splitKind, len(route.GetMatch()) > 0
	case name == excludeName:
		o.kind = excludeKind
		o.matches, o.odd = exactly(route, TenantHeader)
	case strings.HasPrefix(name, pinPrefix):
		o.kind, o.revision = pinKind, strings.TrimPrefix(name, pinPrefix)
		o.matches, o.odd = exactly(route, RevisionHeader)
	case strings.HasPrefix(name, anchorPrefix):
		o.kind, o.revision = anchorKind, strings.TrimPrefix(name, anchorPrefix)
		o.matches, o.odd = exactly(route, AnchorHeader)
	default:
		return o, false
	}

	foreign := o.kind > anchorKind && !a.leadsWithin(o.shares) && !equal(route, a.plainRoute())

	if o.kind <= anchorKind {
		o.odd = o.odd || !slices.Equal(o.matches, []string{o.revision}) || len(o.shares) != 1
	}

	return o, !o.odd && !foreign || m.remembers(o)
}

// routed reports whether there are routes of an agent that is not adopted and that Serin has not left.
func (a Agent) routed(routes []*api.HTTPRoute) bool {
	return !a.Adopt && slices.ContainsFunc(a.survey(routes, mark{}), func(o owned) bool {
		return !equal(routes[o.index], a.plainRoute())
	})
}

// leadsWithin reports whether a route leads to the agent's revisions alone.
func (a Agent) leadsWithin(shares []share) bool {
	return len(shares) > 0 && !slices.ContainsFunc(shares, func(s share) bool { return !a.isRevision(s.to) })
}

// exactly returns the values of a header that a route matches; odd says that it matches by anything else.
func exactly(route *api.HTTPRoute, header string) (values []string, odd bool) {
	for _, m := range route.GetMatch() {
		value := m.GetHeaders()[header].GetExact()
		values = append(values, value)
		only := draft{&api.HTTPRoute{}}.matching(header, value).GetMatch()[0]
		odd = odd || value == "" || !equal(m, only)
	}

	return values, odd || len(values) == 0
}

// remembers reports whether the mark says that Serin wrote such a route.
func (m mark) remembers(o owned) bool {
	part := parts[o.kind]
	if o.kind > anchorKind {
		return m.Owns[part] != ""
	}

	return slices.ContainsFunc(strings.Fields(m.Owns[part]), func(word string) bool {
		revision, _, _ := strings.Cut(word, ">")

		return revision == o.revision
	})
}

// describe says in words what Serin's routes say: part by part, as marks remember it.
func describe(found []owned) map[string]string {
	owns := map[string]string{}

	slices.SortStableFunc(found, func(a, b owned) int { return strings.Compare(a.revision, b.revision) })

	for _, o := range found {
		part := parts[o.kind]
		owns[part] = strings.TrimSpace(owns[part] + " " + o.String())
	}

	return owns
}

func (o owned) String() string {
	var text string

	switch o.kind {
	case pinKind, anchorKind:
		text = o.revision
		if len(o.shares) > 0 && o.shares[0].to != o.revision {
			text += ">" + o.shares[0].to
		}
	case excludeKind:
		text = strings.Join(append([]string{strings.Join(o.matches, " ")}, targets(o.shares)...), ">")
	case splitKind:
		text = weights(o.shares)
	}

	if o.odd {
		text += "(changed)"
	}

	if o.late {
		text += "(shadowed)"
	}

	return text
}

func targets(shares []share) []string {
	names := make([]string, 0, len(shares))
	for _, s := range shares {
		names = append(names, s.to)
	}

	return names
}

func weights(shares []share) string {
	words := make([]string, 0, len(shares))
	for _, s := range shares {
		words = append(words, fmt.Sprintf("%s=%d", s.to, s.weight))
	}

	return strings.Join(words, " ")
}

// leads reports whether the route sends anything to a revision: Istio drops destinations without weight.
func (o owned) leads(revision string) bool {
	return o.kind != anchorKind && slices.ContainsFunc(o.shares, func(s share) bool {
		return s.to == revision && (s.weight > 0 || len(o.shares) == 1)
	})
}

// astray reports whether someone made the anchor lead elsewhere.
func (o owned) astray() bool { return len(o.shares) != 1 || o.shares[0].to != o.revision }

func equal(a, b proto.Message) bool { return proto.Equal(a, b) }
