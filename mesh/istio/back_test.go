package istio

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
)

// superseded is the candidate making room for another.
func superseded() Routing {
	return Routing{
		Intent: Intent{Attempt: 3, Seq: 6, Phase: "Preparing", Stable: "aaa", Candidate: "ccc"},
		Live:   []string{"aaa", "ccc", "bbb"}, Redirects: map[string]string{"bbb": "aaa"},
	}
}

// ways are the decisions that take traffic back, in the shape in which the engine makes them.
func ways() map[string]struct{ before, back Routing } {
	return map[string]struct{ before, back Routing }{
		"abort":     {decided10(), decidedAbort()},
		"undo":      {promoted(), undone()},
		"supersede": {decided10(), superseded()},
	}
}

// blind fails all requests about DestinationRules.
func (s *server) blind() {
	s.before = func(_, path string) error {
		if strings.Contains(path, "destinationrules") {
			return errBroken
		}

		return nil
	}
}

// untold is a control plane that does not answer.
type untold struct{}

func (untold) Propagated(context.Context, runtime.Object) (bool, error) { return false, errBroken }

// Whatever takes traffic back asks for nothing but the VirtualService: with no answer about DestinationRules or propagation
// it is written all the same, once.
func TestToTakeBackIsOneWriteThatWaitsForNothing(t *testing.T) {
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			router := newRouter(t, s)
			reach(t, s, router, way.before)

			s.writes = nil
			s.blind()

			router.config.Propagation = untold{}

			if _, err := router.Apply(t.Context(), billing, way.back); !errors.Is(err, errBroken) {
				t.Error(err)
			}

			if !slices.Equal(s.writes, []string{"PATCH virtualservices/billing"}) {
				t.Fatal(s.writes)
			}

			if v := viewOf(s.objectsOf(t)); v.leads()["bbb"] || v.pins["bbb"] != "aaa" {
				t.Error(s.yaml())
			}

			s.before, router.config.Propagation = nil, Reconciled{}
			reach(t, s, router, way.back)

			if name != "supersede" && len(s.writes) != 1 {
				t.Error("more than one write:", s.writes)
			}
		})
	}
}

// Drift that is held holds up what gives traffic, and nothing that takes it back.
func TestNothingHoldsUpWhatTakesBack(t *testing.T) {
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			router := newRouter(t, s)
			reach(t, s, router, way.before)
			s.edit(serviceOf(billing), func(d document) {
				child(d.meta(), "annotations")[DriftAnnotation] = "hold"
				child(list(d.spec(), "http")[0].(map[string]any), "retries")["attempts"] = 3
				d.spec()["http"] = slices.DeleteFunc(list(d.spec(), "http"), func(r any) bool { return nameOf(r) == "anchor-bbb" })
			})

			s.writes = nil
			further := way.before
			further.Intent.Seq++

			if progress, err := router.Apply(t.Context(), billing, further); err != nil || len(s.writes) > 0 {
				t.Error(told(progress, err), s.writes)
			}

			back := way.back
			back.Intent.Seq++

			if progress, err := router.Apply(t.Context(), billing, back); err != nil || !slices.Contains(s.writes, "PATCH virtualservices/billing") {
				t.Error(told(progress, err), s.writes)
			}

			if v := viewOf(s.objectsOf(t)); v.leads()["bbb"] {
				t.Error(s.yaml())
			}
		})
	}
}

// A revision that retires may wait: whoever holds the drift need not fear for it.
func TestRetirementIsHeld(t *testing.T) {
	s := newServer()
	router := newRouter(t, s)
	idle := Routing{Intent: Intent{Attempt: 1, Seq: 1, Phase: "Idle", Stable: "aaa"}, Live: []string{"aaa", "bbb"}}
	reach(t, s, router, idle)
	s.edit(serviceOf(billing), func(d document) {
		child(d.meta(), "annotations")[DriftAnnotation] = "hold"
		d.spec()["http"] = slices.DeleteFunc(list(d.spec(), "http"), func(r any) bool { return nameOf(r) == "anchor-aaa" })
	})

	s.writes = nil
	idle.Intent.Seq, idle.Redirects = 2, map[string]string{"bbb": "aaa"}

	if progress, err := router.Apply(t.Context(), billing, idle); err != nil || len(s.writes) > 0 {
		t.Error(told(progress, err), s.writes)
	}
}

// Someone took all routes that lead to stable: an abort leads there again all the same, because Serin did before.
func TestAnAbortToAStableThatSomeoneCutOff(t *testing.T) {
	for name, split := range map[string][]any{
		"candidate alone": {map[string]any{"destination": map[string]any{"host": "billing", "subset": "r-bbb"}, "weight": 100}},
		"and elsewhere": {
			map[string]any{"destination": map[string]any{"host": "billing", "subset": "r-bbb"}, "weight": 90},
			map[string]any{"destination": map[string]any{"host": "elsewhere", "subset": "v1"}, "weight": 10},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			router := newRouter(t, s)
			reach(t, s, router, decided10())
			s.edit(serviceOf(billing), func(d document) {
				d.spec()["http"] = slices.DeleteFunc(list(d.spec(), "http"), func(r any) bool {
					return slices.Contains([]any{"pin-aaa", "anchor-aaa"}, nameOf(r))
				})

				for _, r := range list(d.spec(), "http") {
					if nameOf(r) == splitName {
						r.(map[string]any)["route"] = split
					}
				}
			})

			s.writes = nil
			s.blind()

			_, _ = router.Apply(t.Context(), billing, decidedAbort())

			if v := viewOf(s.objectsOf(t)); len(s.writes) != 1 || v.split["aaa"] != 100 || v.leads()["bbb"] {
				t.Error(s.writes, s.yaml())
			}
		})
	}
}

// What was led elsewhere does not become a subset of the agent's.
func TestAKeptSplitHasTheAgentsSharesAlone(t *testing.T) {
	w := world{agent: billing}
	o := owned{kind: splitKind, shares: []share{{"elsewhere:v1", 60}, {"bbb", 10}, {"ccc", 30}}}

	if got := w.kept(o, decided10()); !slices.Equal(got, []share{{"bbb", 70}, {"ccc", 30}}) {
		t.Error(got)
	}

	if got := w.kept(o, decidedAbort()); !slices.Equal(got, []share{{"ccc", 100}}) {
		t.Error(got)
	}

	o.shares = o.shares[:1]
	if got := w.kept(o, decided10()); !slices.Equal(got, o.shares) {
		t.Error("no part of a route that stays in its place is dropped:", got)
	}

	o.late = true
	if got := w.kept(o, decided10()); got != nil {
		t.Error(got)
	}
}

// A write that gives traffic tests what it replaces: someone changed the route under the same name.
func TestWhatIsReplacedIsTested(t *testing.T) {
	excluding := decided10()
	excluding.ExcludedTenants = []string{"acme"}

	further := decided10()
	further.Intent.Seq, further.ExcludedTenants = 6, []string{"blue"}

	s := newServer()
	router := newRouter(t, s)
	reach(t, s, router, excluding)

	raced := false
	s.before = func(method, _ string) error {
		if method == "PATCH" && !raced {
			raced = true

			s.edit(serviceOf(billing), func(d document) {
				for _, r := range list(d.spec(), "http") {
					if nameOf(r) == excludeName {
						matches := list(r.(map[string]any), "match")
						child(child(matches[0].(map[string]any), "headers"), TenantHeader)["exact"] = "corp"
					}
				}
			})
		}

		return nil
	}

	progress, err := router.Apply(t.Context(), billing, further)
	if err != nil || !strings.Contains(progress.Drift, "corp>aaa") {
		t.Error("someone's change was not noticed:", told(progress, err))
	}
}
