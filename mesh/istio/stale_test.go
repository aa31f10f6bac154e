package istio

import (
	"errors"
	"maps"
	"strings"
	"testing"
)

// written applies a routing with a leader that has not looked at anything yet.
func written(t *testing.T, s *server, r Routing) (Progress, error) {
	t.Helper()

	return newRouter(t, s).Apply(t.Context(), billing, r)
}

// promoted is the candidate made stable; undone is that taken back.
func promoted() Routing {
	return Routing{
		Intent: Intent{Attempt: 2, Seq: 6, Phase: "Succeeded", Stable: "bbb"},
		Live:   []string{"bbb", "aaa"},
	}
}

func undone() Routing {
	return Routing{
		Intent: Intent{Attempt: 2, Seq: 7, Phase: phaseAborting, Stable: "aaa"},
		Live:   []string{"aaa", "bbb"}, Redirects: map[string]string{"bbb": "aaa"},
	}
}

// A leader that missed an abort goes on deciding. However high its numbers are, nothing of that attempt leads back to what
// was withdrawn, and it is told what the objects carry.
func TestAnAbortIsFinalInItsAttempt(t *testing.T) {
	s := newServer()
	router := newRouter(t, s)
	reach(t, s, router, decided10())
	reach(t, s, router, decidedAbort())

	missed := decided10()
	missed.Intent.Seq, missed.Intent.Weight = decidedAbort().Intent.Seq+1, 25

	released := decidedAbort()
	released.Intent.Seq, released.Intent.Phase = missed.Intent.Seq+1, phaseFailed
	released.Live, released.Redirects = []string{"aaa"}, nil

	again := missed
	again.Intent.Seq = released.Intent.Seq + 1

	for _, c := range []struct{ carried, late Routing }{{decidedAbort(), missed}, {released, again}} {
		reach(t, s, router, c.carried)

		progress, err := written(t, s, c.late)
		if !errors.Is(err, ErrStale) || !strings.Contains(err.Error(), "withdrew bbb") {
			t.Error(told(progress, err))
		}

		if *progress.Observed != c.carried.Intent || !maps.Equal(progress.Withdrawn, map[string]string{"bbb": "aaa"}) {
			t.Errorf("observed %+v and withdrawn %v", progress.Observed, progress.Withdrawn)
		}
	}

	retry := decided10()
	retry.Intent.Attempt, retry.Intent.Seq = 4, again.Intent.Seq
	reach(t, s, router, retry)
	reach(t, s, router, func() Routing { r := retry; r.Intent.Seq++; r.Intent.Weight = 50; return r }())
}

// A leader that missed an undo starts the next attempt from the revision that was undone.
func TestAnUndoIsFinalInEveryAttempt(t *testing.T) {
	s := newServer()
	router := newRouter(t, s)
	reach(t, s, router, decided10())
	reach(t, s, router, promoted())
	reach(t, s, router, undone())

	missed := Routing{
		Intent: Intent{Attempt: 3, Seq: 7, Phase: "Preparing", Stable: "bbb", Candidate: "ccc"},
		Live:   []string{"bbb", "ccc", "aaa"},
	}

	if progress, err := written(t, s, missed); !errors.Is(err, ErrStale) || *progress.Observed != undone().Intent {
		t.Error(told(progress, err))
	}

	// The way back to stable is by a retry that the objects carried.
	retry := Routing{
		Intent: Intent{Attempt: 4, Seq: 8, Phase: "Promoting", Stable: "aaa", Candidate: "bbb", Weight: 100},
		Live:   []string{"aaa", "bbb"},
	}
	reach(t, s, router, retry)

	again := promoted()
	again.Intent.Attempt, again.Intent.Seq = 4, 9
	reach(t, s, router, again)
}

// A leader that lost its memory takes the attempt from the objects, and does not know the revision that serves.
func TestWhoKnowsNothingIsBelieved(t *testing.T) {
	s := newServer()
	router := newRouter(t, s)
	reach(t, s, router, decided10())
	reach(t, s, router, decidedAbort())
	reach(t, s, router, Routing{Intent: Intent{Attempt: 2, Seq: 7, Phase: "Idle", Stable: "bbb"}, Live: []string{"bbb"}})
}

// Marks of the first release have neither digest nor withdrawals: the pins tell, as far as they do not lag.
func TestMarksOfTheFirstRelease(t *testing.T) {
	m := mark{Intent: decided10().Intent, Owns: map[string]string{"pins": "aaa bbb>aaa(shadowed) ccc>aaa"}}

	if m.withdrew("aaa") || m.withdrew("bbb") || !m.withdrew("ccc") {
		t.Error(m.withdrawn())
	}

	if !m.decided(decided10()) || m.stale(decided10()) != "" {
		t.Error("the same decision counts as another")
	}
}

// Two leaders retire another revision each by decisions of the same number and intent: the first stays.
func TestForksThatDifferInTheirRevisionsAlone(t *testing.T) {
	retire := func(revision, other string) Routing {
		return Routing{
			Intent: Intent{Attempt: 1, Seq: 3, Phase: "Idle", Stable: "aaa"},
			Live:   []string{"aaa", other, revision}, Redirects: map[string]string{revision: "aaa"},
		}
	}

	s := newServer()
	router := newRouter(t, s)
	reach(t, s, router, retire("bbb", "ccc"))

	writes := len(s.writes)

	more := retire("bbb", "ccc")
	more.Live = append(more.Live, "ddd")

	for _, fork := range []Routing{retire("ccc", "bbb"), more} {
		if _, err := written(t, s, fork); !errors.Is(err, ErrStale) {
			t.Error(err)
		}
	}

	tenants := retire("bbb", "ccc")
	tenants.ExcludedTenants = []string{"acme"} // they have no number
	reach(t, s, router, tenants)

	if len(s.writes) != writes+1 {
		t.Error(s.writes[writes:])
	}
}

// Someone spoils or removes the annotation after an abort. The Router that saw it goes on refusing older decisions, reports
// it, and puts it back.
func TestALostMarkStillCounts(t *testing.T) {
	for name, spoil := range map[string]func(annotations map[string]any){
		"spoilt":  func(annotations map[string]any) { annotations[IntentAnnotation] = "oops" },
		"removed": func(annotations map[string]any) { delete(annotations, IntentAnnotation) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			router := newRouter(t, s)
			reach(t, s, router, decided10())
			reach(t, s, router, decidedAbort())
			s.edit(serviceOf(billing), func(d document) { spoil(child(d.meta(), "annotations")) })

			late := decided10()
			late.Intent.Seq = decidedAbort().Intent.Seq + 1

			for _, old := range []Routing{decided10(), late} {
				if progress, err := router.Apply(t.Context(), billing, old); !errors.Is(err, ErrStale) {
					t.Error(told(progress, err))
				}
			}

			progress, err := router.Apply(t.Context(), billing, decidedAbort())
			if err != nil || !strings.Contains(progress.Drift, "annotation "+IntentAnnotation+" is ") {
				t.Error(told(progress, err))
			}

			if _, err := written(t, s, late); !errors.Is(err, ErrStale) {
				t.Error("it was not put back:", err)
			}
		})
	}
}

// With the VirtualService's mark lost to everyone, the DestinationRule's decides; it is put back, too.
func TestTheRulesMarkDecidesWithoutTheServices(t *testing.T) {
	s := newServer()
	reach(t, s, newRouter(t, s), decided10())
	s.edit(serviceOf(billing), func(d document) { delete(d.meta(), "annotations") })

	old := decided10()
	old.Intent.Seq--

	if _, err := written(t, s, old); !errors.Is(err, ErrStale) {
		t.Error(err)
	}

	s.edit(ruleOf(billing), func(d document) { child(d.meta(), "annotations")[IntentAnnotation] = "oops" })

	if progress, err := apply(s, newRouter(t, s), billing, decided10()); err != nil || !strings.Contains(progress.Drift, "[oops]") {
		t.Error(told(progress, err))
	}

	if strings.Contains(s.yaml(), "oops") {
		t.Error(s.yaml())
	}
}
