package istio

import (
	"slices"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// step is what to do next: one write, or nothing.
type step struct {
	// create, service and rule are a write; name is the object that service or rule patches.
	create        runtime.Object
	service, rule *patch
	name          string

	// stale says why nothing may be written.
	stale   string
	done    bool
	waiting string
	problem string
}

func (s step) writes() bool { return s.create != nil || s.service != nil || s.rule != nil }

func (s step) what() string {
	switch object := s.create.(type) {
	case *networking.VirtualService:
		return "VirtualService " + object.Name
	case *networking.DestinationRule:
		return "DestinationRule " + object.Name
	}

	if s.service != nil {
		return "VirtualService " + s.name
	}

	return "DestinationRule " + s.name
}

// plan decides on the next write towards the routing. Routes come before subsets: what can be taken back is taken back
// first, and the VirtualService's mark moves before a subset goes, so that no older decision can name it again.
func plan(w world, r Routing) step {
	stale, problem := w.stale(r), joined(w.shared(), w.squatted(r))
	mayWrite := problem == "" || w.serviceMark.there() && w.urgent(r)

	switch {
	case stale != "":
		return step{stale: stale}
	case w.held() && !w.takesBack(r):
		return step{waiting: "drift is held: put back what was changed, or set the annotation " + DriftAnnotation + " to correct"}
	case w.agent.Adopt:
		return planSlots(w, r)
	case !mayWrite:
		return step{waiting: problem, problem: problem}
	}

	routes := planRoutes(w, r)
	routes.problem = problem

	if routes.writes() || !w.ruleRead {
		return routes
	}

	rule := planSubsets(w, r)
	rule.waiting = joined(routes.waiting, rule.waiting)
	rule.problem = joined(joined(problem, w.usurpations(r)), rule.problem)

	if !rule.writes() {
		rule.waiting = joined(joined(rule.waiting, w.unsettled()), w.rivalry())
		rule.done = rule.waiting == ""
	}

	return rule
}

// takesBack reports whether the routing newly takes traffic back, by whatever decision: nothing holds that up.
func (w world) takesBack(r Routing) bool {
	if w.serviceMark.decided(r) {
		return false
	}

	return r.Intent.Phase == phaseAborting || slices.ContainsFunc(r.redirected(), func(revision string) bool {
		return w.exposed(revision) && !w.serviceMark.withdrew(revision)
	})
}

// exposed reports whether the objects give new conversations to a revision, or are about to. A revision that retires has
// none: it may wait.
func (w world) exposed(revision string) bool {
	if m := w.serviceMark; m.there() {
		return revision == m.Candidate || revision == m.Stable
	}

	return ledTo(w.found(), revision)
}

// urgent reports whether the routing waits for nothing.
func (w world) urgent(r Routing) bool { return r.abort() || w.takesBack(r) }

// squatted says which foreign route has a name that Serin needs.
func (w world) squatted(r Routing) string {
	for _, route := range w.routes() {
		name := route.GetName()
		needed := name == splitName || name == excludeName && len(r.ExcludedTenants) > 0

		if _, mine := w.agent.recognise(route, w.serviceMark); needed && !mine {
			return "VirtualService " + w.serviceName + ": route " + name + " has a name that Serin needs; rename it"
		}
	}

	return ""
}

// shared says which other service the agent's VirtualService is for: its calls would be split like the agent's.
func (w world) shared() string {
	if w.service == nil || w.agent.Adopt {
		return ""
	}

	for _, host := range w.service.Spec.GetHosts() {
		if w.agent.foreign(host) {
			return "VirtualService " + w.serviceName + " is for host " + host + " too, whose calls would go to " + w.agent.Name +
				"; give " + host + " a VirtualService of its own"
		}
	}

	return ""
}

func (w world) usurpations(r Routing) string {
	var problem string
	for _, revision := range r.serving() {
		problem = joined(problem, w.usurped(revision))
	}

	return problem
}

// planRoutes plans the next write to the VirtualService.
func planRoutes(w world, r Routing) step {
	a := aimAt(w, r)
	e := &editor{agent: w.agent, careful: !w.urgent(r)}

	if w.service == nil {
		if !w.usable(r.Intent.Stable, r) {
			return step{waiting: "the subset of " + r.Intent.Stable + " to reach every proxy"}
		}

		e.reach(a, mark{})

		return step{create: w.newService(e, r), waiting: a.waiting}
	}

	e.service, e.routes = w.service, w.service.DeepCopy().Spec.GetHttp()
	e.reach(a, w.serviceMark)

	if e.empty() && w.serviceMark.decided(r) {
		return step{waiting: a.waiting}
	}

	next := w.serviceMark.next(r, describe(w.agent.survey(e.routes, w.serviceMark)), nil)
	e.mark(w.service, w.serviceMark, next)

	return step{name: w.serviceName, service: &e.patch, waiting: a.waiting}
}

func (w world) newService(e *editor, r Routing) *networking.VirtualService {
	service := &networking.VirtualService{ObjectMeta: w.agent.meta(w.serviceName)}
	service.Spec.Hosts = []string{w.agent.host()}
	service.Spec.Http = e.routes
	owns := describe(w.agent.survey(e.routes, mark{}))
	service.Annotations = map[string]string{IntentAnnotation: mark{}.next(r, owns, nil).String()}

	return service
}
