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

	stale   bool
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
	switch problem := w.squatted(); {
	case w.stale(r):
		return step{stale: true}
	case w.held() && (r.Intent.Phase != phaseAborting || !newer(r.Intent, w.serviceMark.Intent)):
		return step{waiting: "drift is held: put back what was changed, or set the annotation " + DriftAnnotation + " to correct"}
	case w.agent.Adopt:
		return planSlots(w, r)
	case problem != "":
		return step{waiting: problem, problem: problem}
	}

	routes := planRoutes(w, r)
	if routes.writes() || !w.ruleRead {
		return routes
	}

	rule := planSubsets(w, r)
	rule.waiting = joined(routes.waiting, rule.waiting)
	rule.problem = joined(w.usurpations(r), rule.problem)

	if !rule.writes() {
		rule.waiting = joined(joined(rule.waiting, w.unsettled()), w.rivalry())
		rule.done = rule.waiting == ""
	}

	return rule
}

// squatted says which foreign route has a name that Serin needs, in a VirtualService that Serin has never written to.
func (w world) squatted() string {
	if w.serviceMark.raw != nil {
		return ""
	}

	for _, o := range w.found() {
		foreign := slices.ContainsFunc(o.shares, func(s share) bool { return !w.agent.isRevision(s.to) })
		if o.kind >= excludeKind && (o.odd || foreign) {
			return "VirtualService " + w.serviceName + ": route " + w.routes()[o.index].GetName() +
				" has a name that Serin needs; rename it"
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
	e := &editor{agent: w.agent}

	if w.service == nil {
		if !w.usable(r.Intent.Stable, r) {
			return step{waiting: "the subset of " + r.Intent.Stable + " to reach every proxy"}
		}

		e.reach(a, mark{})

		return step{create: w.newService(e, r), waiting: a.waiting}
	}

	e.service, e.routes = w.service, w.service.DeepCopy().Spec.GetHttp()
	e.reach(a, w.serviceMark)

	if e.empty() && decided(w.serviceMark, r) {
		return step{waiting: a.waiting}
	}

	next := w.serviceMark.next(r.Intent, describe(w.agent.survey(e.routes, w.serviceMark)), nil)
	e.mark(w.service, w.serviceMark, next)

	return step{name: w.serviceName, service: &e.patch, waiting: a.waiting}
}

func (w world) newService(e *editor, r Routing) *networking.VirtualService {
	service := &networking.VirtualService{ObjectMeta: w.agent.meta(w.serviceName)}
	service.Spec.Hosts = []string{w.agent.host()}
	service.Spec.Http = e.routes
	owns := describe(w.agent.survey(e.routes, mark{}))
	service.Annotations = map[string]string{IntentAnnotation: mark{}.next(r.Intent, owns, nil).String()}

	return service
}
