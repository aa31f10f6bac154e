package istio

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	api "istio.io/api/networking/v1alpha3"
	networking "istio.io/client-go/pkg/apis/networking/v1"
)

// world is an agent's objects as they were read. Decisions are made of it alone.
type world struct {
	agent Agent

	// service is nil if there is none, serviceName then is what to call it. Taken says that every proxy has it.
	service      *networking.VirtualService
	serviceName  string
	serviceMark  mark
	serviceTaken bool
	// serviceUntold is why it is not known whether every proxy has it.
	serviceUntold error
	// rivals are other VirtualServices for the agent's host.
	rivals []string

	// ruleRead says that the DestinationRule was looked for.
	ruleRead  bool
	rule      *networking.DestinationRule
	ruleName  string
	ruleMark  mark
	ruleTaken bool

	// defined are the subsets that any DestinationRule of the host defines; read for adopted agents alone.
	defined map[string]bool
	// elsewhere are subsets that VirtualServices other than the agent's name, and who does.
	elsewhere map[string]string
}

func (w world) routes() []*api.HTTPRoute {
	if w.service == nil {
		return nil
	}

	return w.service.Spec.GetHttp()
}

func (w world) found() []owned { return w.agent.survey(w.routes(), w.serviceMark) }

// intent is the newest decision that the objects carry.
func (w world) intent() *Intent {
	var newest *Intent

	for _, m := range []mark{w.serviceMark, w.ruleMark} {
		if m.there() && (newest == nil || newer(m.Intent, *newest)) {
			newest = &m.Intent
		}
	}

	return newest
}

// stale says why the routing must not be written; empty if it may. The DestinationRule's mark may lag by attempts, so
// that it knows what is final in its own attempt alone.
func (w world) stale(r Routing) string {
	return cmp.Or(w.serviceMark.stale(r), w.ruleMark.stale(r), w.serviceMark.undone(r))
}

// drift says what someone else changed in what Serin owns.
func (w world) drift() string { return joined(w.unmarked(), w.changed()) }

// unmarked says which annotation of Serin's was spoilt or taken away.
func (w world) unmarked() string {
	var drift string

	if w.service != nil {
		drift = prefixed("VirtualService "+w.serviceName+": ", w.serviceMark.missing(w.agent.routed(w.routes())))
	}

	if w.ruleRead && w.rule != nil && !w.agent.Adopt {
		drift = joined(drift, prefixed("DestinationRule "+w.ruleName+": ", w.ruleMark.missing(len(w.subsets()) > 0)))
	}

	return drift
}

// changed says what differs from what the marks say of it.
func (w world) changed() string {
	if w.service == nil || w.agent.Adopt != (w.serviceMark.Slots != nil) {
		return ""
	}

	if w.agent.Adopt {
		return prefixed("VirtualService "+w.serviceName+": ", w.serviceMark.drift(describeSlots(w.slotted())))
	}

	drift := prefixed("VirtualService "+w.serviceName+": ", w.serviceMark.drift(describe(w.found())))
	if w.ruleRead {
		rule := w.ruleMark.drift(describeSubsets(w.subsets()))
		drift = joined(drift, prefixed("DestinationRule "+w.ruleName+": ", rule))
	}

	return drift
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}

	return prefix + text
}

// held reports whether drift is to be left alone. A lost annotation is put back all the same: nobody else can.
func (w world) held() bool {
	return w.service != nil && w.service.Annotations[DriftAnnotation] == "hold" && w.changed() != ""
}

// problem says what of others' making is in the way.
func (w world) problem() string {
	problem := w.rivalry()

	if w.service != nil {
		if policy := w.service.Annotations[DriftAnnotation]; !slices.Contains([]string{"", "hold", "correct"}, policy) {
			problem = joined(problem, "annotation "+DriftAnnotation+" is "+policy+", must be correct or hold; it counts as correct")
		}
	}

	return problem
}

// rivalry says which other VirtualService is for the agent's host.
func (w world) rivalry() string {
	if len(w.rivals) == 0 {
		return ""
	}

	return "VirtualService " + strings.Join(w.rivals, ", ") + " is for host " + w.agent.host() + " like " + w.serviceName +
		": which takes effect is undefined; keep one"
}

// routed are the revisions that have a subset or a route.
func (w world) routed() []string {
	routed := map[string]bool{}

	for _, subset := range w.subsets() {
		routed[subset.revision] = true
	}

	for _, o := range w.found() {
		if o.revision != "" {
			routed[o.revision] = true
		}

		for _, s := range o.shares {
			if w.agent.isRevision(s.to) {
				routed[s.to] = true
			}
		}
	}

	return append([]string{}, slices.Sorted(maps.Keys(routed))...)
}

// settled reports whether every proxy has the objects as they are.
func (w world) settled() bool { return w.unsettled() == "" }

func (w world) unsettled() string {
	switch {
	case w.service == nil:
		return "VirtualService " + w.serviceName + " to be created"
	case !w.serviceTaken:
		return "VirtualService " + w.serviceName + " to reach every proxy"
	case w.agent.Adopt:
		return ""
	case w.rule == nil:
		return "DestinationRule " + w.ruleName + " to be created"
	case !w.ruleTaken:
		return "DestinationRule " + w.ruleName + " to reach every proxy"
	default:
		return ""
	}
}

func (w world) progress(s step) Progress {
	progress := Progress{
		Done:      s.done,
		Waiting:   s.waiting,
		Observed:  w.intent(),
		Routed:    w.routed(),
		Withdrawn: w.serviceMark.redirects(),
		Drift:     w.drift(),
		Problem:   joined(w.problem(), s.problem),
	}

	if w.agent.Adopt {
		w.slots(&progress)

		return progress
	}

	for _, o := range w.found() {
		for _, s := range o.shares {
			if o.kind == splitKind && s.to == w.serviceMark.Candidate {
				progress.Weight = s.weight
			}
		}
	}

	return progress
}
