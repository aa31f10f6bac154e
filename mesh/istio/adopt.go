package istio

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The subsets of adopted, hand-written objects. Revisions take turns in them.
const (
	StableSlot = "stable"
	CanarySlot = "canary"
)

// slotted is a hand-written route that is split between the two subsets.
type slotted struct {
	index int
	// stable and canary index its destinations; rest is the weight of all others.
	stable, canary, rest int
	weights              map[string]int
	// late says that a route before it takes all calls.
	late bool
}

// slotted finds the routes that are split between the two subsets. Routes that lead to one of them are left alone.
func (w world) slotted() []slotted {
	var (
		found  []slotted
		closed bool
	)

	for i, route := range w.routes() {
		s := slotted{index: i, late: closed, stable: -1, canary: -1, weights: map[string]int{}}

		for j, d := range route.GetRoute() {
			switch slot := d.GetDestination().GetSubset(); {
			case w.agent.is(d.GetDestination().GetHost()) && slot == StableSlot:
				s.stable, s.weights[slot] = j, int(d.GetWeight())
			case w.agent.is(d.GetDestination().GetHost()) && slot == CanarySlot:
				s.canary, s.weights[slot] = j, int(d.GetWeight())
			default:
				s.rest += int(d.GetWeight())
			}
		}

		if s.stable >= 0 && s.canary >= 0 {
			found = append(found, s)
		}

		closed = closed || catchesAll(route)
	}

	return found
}

func describeSlots(found []slotted) map[string]string {
	texts := make([]string, 0, len(found))
	for _, s := range found {
		texts = append(texts, fmt.Sprintf("%s=%d %s=%d", StableSlot, s.weights[StableSlot], CanarySlot, s.weights[CanarySlot]))
	}

	return map[string]string{"slots": strings.Join(texts, ", ")}
}

// seats says which slot the stable revision has: the one it had, or the one that the candidate does not have, or the one
// with more weight.
func (w world) seats(r Routing) (stable, candidate string, slots map[string]string) {
	slots = maps.Clone(w.serviceMark.Slots)
	if slots == nil {
		slots = map[string]string{}
	}

	stable = slotOf(slots, r.Intent.Stable)
	if stable == "" {
		stable = OtherSlot(slotOf(slots, r.Intent.Candidate))
	}

	if stable == "" {
		stable = w.heavier()
	}

	slots[stable] = r.Intent.Stable
	if slots[OtherSlot(stable)] == r.Intent.Stable {
		delete(slots, OtherSlot(stable))
	}

	if r.Intent.Candidate != "" && r.Intent.Candidate != r.Intent.Stable {
		slots[OtherSlot(stable)] = r.Intent.Candidate
	}

	return stable, OtherSlot(stable), slots
}

func (w world) heavier() string {
	for _, s := range w.slotted() {
		if s.weights[CanarySlot] > s.weights[StableSlot] {
			return CanarySlot
		}
	}

	return StableSlot
}

func slotOf(slots map[string]string, revision string) string {
	for _, slot := range []string{StableSlot, CanarySlot} {
		if revision != "" && slots[slot] == revision {
			return slot
		}
	}

	return ""
}

// OtherSlot is the subset beside one of the two; empty if it is neither.
func OtherSlot(slot string) string {
	return map[string]string{StableSlot: CanarySlot, CanarySlot: StableSlot}[slot]
}

// planSlots plans the next write to an adopted VirtualService: weights and the mark, and nothing else.
func planSlots(w world, r Routing) step {
	problem := w.unadoptable()
	if problem != "" && (len(w.slotted()) == 0 || w.serviceMark.Slots == nil || !w.urgent(r)) {
		return step{waiting: problem, problem: problem}
	}

	if len(r.ExcludedTenants) > 0 {
		problem = joined("adopted routes can't exclude tenants: they are split like all others", problem)
	}

	stable, candidate, slots := w.seats(r)
	if r.Intent.Weight > 0 && w.ruleRead && (!w.defined[stable] || !w.defined[candidate]) {
		why := "no DestinationRule for " + w.agent.host() + " defines the subsets " + StableSlot + " and " + CanarySlot

		return step{waiting: why, problem: joined(why, problem)}
	}

	e := &editor{agent: w.agent, routes: w.service.DeepCopy().Spec.GetHttp()}
	for _, s := range w.slotted() {
		e.seat(s, candidate, r.Intent.Weight)
	}

	if e.empty() && w.serviceMark.decided(r) && maps.Equal(slots, w.serviceMark.Slots) {
		waiting := joined(w.unsettled(), w.rivalry())

		return step{done: waiting == "" && w.ruleRead, waiting: waiting, problem: problem}
	}

	after := w
	after.service = w.service.DeepCopy()
	after.service.Spec.Http = e.routes
	e.mark(w.service, w.serviceMark, w.serviceMark.next(r, describeSlots(after.slotted()), slots))

	return step{name: w.serviceName, service: &e.patch, problem: problem}
}

// unadoptable says why the objects can't be driven as they are.
func (w world) unadoptable() string {
	reachable := func(s slotted) bool { return !s.late }

	switch {
	case w.service == nil:
		return "no VirtualService in namespace " + w.agent.Namespace + " is for host " + w.agent.host() + ": there is nothing to adopt"
	case len(w.slotted()) == 0:
		return "VirtualService " + w.serviceName + ": no http route is split between the subsets " + StableSlot + " and " +
			CanarySlot + " of " + w.agent.host()
	case len(w.agent.survey(w.routes(), mark{})) > 0:
		return "VirtualService " + w.serviceName + " has routes of Serin's, which take all calls before the split between the subsets " +
			StableSlot + " and " + CanarySlot + " is asked; remove them, or do not adopt"
	case !slices.ContainsFunc(w.slotted(), reachable):
		return "VirtualService " + w.serviceName + ": a route takes all calls before the split between the subsets " + StableSlot +
			" and " + CanarySlot + " is asked; move it behind"
	default:
		return ""
	}
}

// total is what the two slots have between them: weights are relative, and what third destinations have is not Serin's.
func (s slotted) total() int {
	total := s.weights[StableSlot] + s.weights[CanarySlot]
	if s.rest == 0 || total == 0 {
		return max(0, 100-s.rest)
	}

	return total
}

// portion is a percentage of what the two slots have, rounded up: a candidate with a weight is met by someone.
func (s slotted) portion(weight int) int { return (s.total()*weight + 99) / 100 }

// percent is the share of a slot, as it was decided if that is how it came about.
func (s slotted) percent(slot string, decided int) int {
	is, sum := s.weights[slot], s.weights[StableSlot]+s.weights[CanarySlot]

	switch {
	case sum == s.total() && is == s.portion(decided):
		return decided
	case sum == 0:
		return 0
	default:
		return (200*is + sum) / (2 * sum)
	}
}

// seat gives the candidate's slot its share of what the two slots have between them, and the other the rest.
func (e *editor) seat(s slotted, candidate string, weight int) {
	total, share := s.total(), s.portion(weight)
	shares := e.agent.shares(e.routes[s.index])
	shares[s.stable].weight, shares[s.canary].weight = total-share, share

	if candidate == StableSlot {
		shares[s.stable].weight, shares[s.canary].weight = share, total-share
	}

	if !slices.Equal(shares, e.agent.shares(e.routes[s.index])) {
		e.guard(s.index)
		e.identify(s.index)
		e.weigh(s.index, shares)
	}
}

// slots tells of an adopted agent's progress.
func (w world) slots(progress *Progress) {
	m := w.serviceMark
	progress.Slot = slotOf(m.Slots, m.Stable)
	progress.Routed = []string{}

	found := w.slotted()
	if len(found) == 0 {
		return
	}

	if m.Candidate != "" {
		progress.Weight = found[0].percent(OtherSlot(progress.Slot), m.Weight)
	}

	for _, slot := range slices.Sorted(maps.Keys(m.Slots)) {
		if found[0].weights[slot] > 0 {
			progress.Routed = append(progress.Routed, m.Slots[slot])
		}
	}
}
