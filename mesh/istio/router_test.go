package istio

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

var billing = Agent{Namespace: "default", Name: "billing"}

func newRouter(t rapid.TB, s *server) *Router {
	t.Helper()

	router, err := New(Config{Client: s.client(t), Propagation: Reconciled{}})
	if err != nil {
		t.Fatal(err)
	}

	return router
}

// decided10 is a candidate at 10%; decidedAbort takes it back.
func decided10() Routing {
	return Routing{
		Intent: Intent{Attempt: 2, Seq: 5, Phase: "Progressing", Stable: "aaa", Candidate: "bbb", Weight: 10},
		Live:   []string{"aaa", "bbb"},
	}
}

func decidedAbort() Routing {
	return Routing{
		Intent:    Intent{Attempt: 2, Seq: 6, Phase: phaseAborting, Stable: "aaa"},
		Live:      []string{"aaa", "bbb"},
		Redirects: map[string]string{"bbb": "aaa"},
	}
}

func reach(t *testing.T, s *server, router *Router, routing Routing) {
	t.Helper()

	if progress, err := apply(s, router, billing, routing); err != nil || !progress.Done {
		t.Fatal(told(progress, err))
	}
}

func TestNewNeedsAClientAndPropagation(t *testing.T) {
	if _, err := New(Config{Propagation: Reconciled{}}); err == nil || !strings.Contains(err.Error(), "Config.Client") {
		t.Error(err)
	}

	if _, err := New(Config{Client: newServer().client(t)}); err == nil || !strings.Contains(err.Error(), "Config.Propagation") {
		t.Error(err)
	}
}

func TestApplyRefusesNonsense(t *testing.T) {
	for _, c := range []struct {
		change func(*Routing)
		says   string
	}{
		{func(r *Routing) { r.Live = []string{"bbb"} }, `stable revision "aaa" is not among`},
		{func(r *Routing) { r.Intent.Weight = 101 }, "weight 101, must be 0 to 100"},
		{func(r *Routing) { r.Live = []string{"aaa"} }, `candidate "bbb" has weight 10 but is not among`},
		{func(r *Routing) { r.Redirects = map[string]string{"bbb": "aaa"} }, `has weight 10 but is withdrawn`},
		{func(r *Routing) { r.Redirects = map[string]string{"aaa": "bbb"} }, `stable revision "aaa" is withdrawn`},
	} {
		s, routing := newServer(), decided10()
		c.change(&routing)

		if _, err := newRouter(t, s).Apply(t.Context(), billing, routing); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v", routing, err)
		}

		if len(s.writes) > 0 {
			t.Error("wrote", s.writes)
		}
	}
}

func TestRedirectsAreFollowedToWhoIsLeft(t *testing.T) {
	r := decidedAbort()
	r.Redirects = map[string]string{"bbb": "ccc", "ccc": "aaa", "ddd": "gone", "eee": "fff", "fff": "eee"}

	for _, p := range r.pinned() {
		if p.to != "aaa" {
			t.Errorf("the pin of %s leads to %s", p.revision, p.to)
		}
	}
}

func TestStaleLeadersWriteNothing(t *testing.T) {
	s := newServer()
	router := newRouter(t, s)
	reach(t, s, router, decidedAbort())

	s.writes = nil

	forked := decidedAbort()
	forked.Intent.Phase, forked.Intent.Candidate, forked.Intent.Weight, forked.Redirects = "Progressing", "bbb", 25, nil

	for _, old := range []Routing{decided10(), forked} {
		progress, err := newRouter(t, s).Apply(t.Context(), billing, old)
		if !errors.Is(err, ErrStale) || *progress.Observed != decidedAbort().Intent {
			t.Error(told(progress, err))
		}
	}

	if len(s.writes) > 0 {
		t.Error("wrote", s.writes)
	}
}

// Two leaders decided at the same number: the abort wins, whichever comes first.
func TestAnAbortWinsOverAnotherDecisionOfItsNumber(t *testing.T) {
	s := newServer()
	router := newRouter(t, s)

	fork := decided10()
	fork.Intent.Seq = decidedAbort().Intent.Seq
	reach(t, s, router, fork)
	reach(t, s, router, decidedAbort())

	if _, err := router.Apply(t.Context(), billing, fork); !errors.Is(err, ErrStale) {
		t.Error(err)
	}
}

// An older leader is about to remove a subset when a newer one needs it again, and dies after its first write: that write
// must not name the subset yet, for nothing has told the older leader.
func TestASubsetThatMayGoIsNotNamed(t *testing.T) {
	s := newServer()
	router := newRouter(t, s)
	reach(t, s, router, decided10())

	gone := Routing{Intent: Intent{Attempt: 2, Seq: 6, Phase: "Idle", Stable: "aaa"}, Live: []string{"aaa"}}
	again := decided10()
	again.Intent.Attempt, again.Intent.Seq = 3, 7

	s.before = func(method, path string) error {
		if method != http.MethodPatch || !strings.Contains(path, "destinationrules") {
			return nil
		}

		s.before = nil
		s.after = func(string, string) error { return errBroken }
		_, err := newRouter(t, s).Apply(t.Context(), billing, again)
		s.after = nil

		if !errors.Is(err, errBroken) {
			t.Error(err)
		}

		return nil
	}

	if _, err := apply(s, router, billing, gone); !errors.Is(err, ErrStale) && err != nil {
		t.Fatal(err)
	}

	service, _ := s.client(t).NetworkingV1().VirtualServices("default").Get(t.Context(), "billing", metav1.GetOptions{})
	rule, _ := s.client(t).NetworkingV1().DestinationRules("default").Get(t.Context(), "billing", metav1.GetOptions{})

	if v := viewOf(service, rule); v.named["bbb"] && !slices.Contains(v.subsets, "bbb") {
		t.Fatal(s.yaml())
	}

	reach(t, s, router, again)
}

func TestConflictsAreBounded(t *testing.T) {
	s := newServer()
	router := newRouter(t, s)
	reach(t, s, router, decided10())

	s.before = func(method, _ string) error {
		if method == http.MethodPatch { // someone is always quicker
			s.edit(serviceOf(billing), func(d document) {
				http := d.spec()["http"].([]any)
				slices.Reverse(http)
			})
		}

		return nil
	}

	_, err := router.Apply(t.Context(), billing, decidedAbort())
	if !conflict(err) || !strings.Contains(err.Error(), "agent billing: write VirtualService billing") {
		t.Error(err)
	}
}

func TestErrorsOfTheServerAreReturned(t *testing.T) {
	s := newServer()
	s.before = func(string, string) error { return errBroken }
	router := newRouter(t, s)

	_, applied := router.Apply(t.Context(), billing, decided10())
	_, observed := router.Observe(t.Context(), billing)

	for _, err := range []error{
		applied, observed, router.Delete(t.Context(), billing), router.Authorize(t.Context(), billing, nil),
	} {
		if !errors.Is(err, errBroken) {
			t.Error(err)
		}
	}
}

func TestObserveWritesNothing(t *testing.T) {
	s := newServer()
	router := newRouter(t, s)

	progress, err := router.Observe(t.Context(), billing)
	if err != nil || progress.Done || progress.Observed != nil || progress.Routed == nil {
		t.Error(told(progress, err))
	}

	reach(t, s, router, decided10())

	s.writes = nil

	progress, err = newRouter(t, s).Observe(t.Context(), billing)
	if err != nil || !progress.Done || *progress.Observed != decided10().Intent || progress.Weight != 10 {
		t.Error(told(progress, err))
	}

	if len(s.writes) > 0 {
		t.Error("wrote", s.writes)
	}
}

func TestDestinationsCarryThePortIfThereIsOne(t *testing.T) {
	s := newServer()
	agent := billing
	agent.Port = 9000

	if progress, err := apply(s, newRouter(t, s), agent, decided10()); err != nil || !progress.Done {
		t.Fatal(told(progress, err))
	}

	if !strings.Contains(s.yaml(), "number: 9000") {
		t.Error(s.yaml())
	}
}

func TestReconciledBelievesTheStatusOfThisGeneration(t *testing.T) {
	s := newServer()
	reach(t, s, newRouter(t, s), decided10())

	get := func() *networking.VirtualService {
		service, err := s.client(t).NetworkingV1().VirtualServices("default").Get(t.Context(), "billing", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}

		return service
	}
	expect := func(want bool) {
		t.Helper()

		if got, err := (Reconciled{}).Propagated(t.Context(), get()); err != nil || got != want {
			t.Error(got, err)
		}
	}

	expect(true)
	s.edit(serviceOf(billing), func(d document) { child(d.meta(), "labels")["a"] = "b" })
	expect(true)
	s.edit(serviceOf(billing), func(d document) { d.spec()["hosts"] = []any{"billing", "other"} })
	expect(false)

	if _, err := (Reconciled{}).Propagated(t.Context(), &metav1.Status{}); err == nil {
		t.Error("of a Status")
	}
}

func TestDwellCountsFromTheFirstSight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dwell := NewDwell(2 * time.Second)
		service := &networking.VirtualService{}
		service.Name, service.Generation = "billing", 1

		expect := func(want bool) {
			t.Helper()

			if got, err := dwell.Propagated(t.Context(), service); err != nil || got != want {
				t.Error(got, err)
			}
		}

		expect(false)
		time.Sleep(1999 * time.Millisecond)
		expect(false)
		time.Sleep(time.Millisecond)
		expect(true)

		service.Generation, service.ResourceVersion = 2, "7"

		expect(false)
		time.Sleep(time.Second)

		service.ResourceVersion = "8" // a status: proxies do not care

		expect(false)
		time.Sleep(time.Second)
		expect(true)
	})
}

func TestDwellForgetsWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dwell := NewDwell(2 * time.Second)

		for i := range 100 {
			service := &networking.VirtualService{}
			service.Name, service.Generation = fmt.Sprint("agent-", i), 1
			_, _ = dwell.Propagated(t.Context(), service)

			time.Sleep(10 * time.Minute)
		}

		if len(dwell.seen) > 13 {
			t.Error("remembers", len(dwell.seen), "objects")
		}
	})
}

func TestDwellLetsARoutingThroughInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		router, _ := New(Config{Client: s.client(t), Propagation: NewDwell(2 * time.Second)})
		started := time.Now()

		for {
			progress, err := router.Apply(t.Context(), billing, decided10())
			if err != nil {
				t.Fatal(err)
			}

			if progress.Done {
				break
			}

			time.Sleep(100 * time.Millisecond)
		}

		if took := time.Since(started); took < 6*time.Second || took > 7*time.Second {
			t.Error("subset, anchors and weight took", took)
		}
	})
}

func TestWatchTellsOfEveryonesChanges(t *testing.T) {
	s := newServer()
	router := newRouter(t, s)
	reach(t, s, router, decided10())

	ctx, cancel := context.WithCancel(t.Context())
	told, ended := make(chan struct{}, 100), make(chan error)

	var once sync.Mutex

	go func() {
		ended <- router.Watch(ctx, billing, func() {
			once.Lock()
			defer once.Unlock()
			told <- struct{}{}
		})
	}()

	expect := func(what string) {
		t.Helper()

		select {
		case <-told:
		case <-time.After(10 * time.Second):
			t.Fatal("not told of", what)
		}
	}

	expect("the first connection")
	expect("the second connection")
	s.edit(serviceOf(billing), func(d document) { child(d.meta(), "labels")["a"] = "b" })
	expect("the VirtualService")
	s.edit(ruleOf(billing), func(d document) { child(d.meta(), "labels")["a"] = "b" })
	expect("the DestinationRule")

	s.load(t, "kind: VirtualService\nmetadata: {name: rival, namespace: default}\nspec: {hosts: [billing]}")
	expect("a rival")

	if progress, err := router.Observe(ctx, billing); err != nil || !strings.Contains(progress.Problem, "rival") {
		t.Error(progress, err)
	}

	s.load(t, "kind: VirtualService\nmetadata: {name: orders, namespace: default}\nspec: {hosts: [orders]}")
	s.hangUp()
	expect("a new connection")
	expect("the other new connection")
	cancel()

	if err := <-ended; err != nil {
		t.Error(err)
	}

	if len(told) > 0 {
		t.Error("told of what does not concern the agent")
	}
}

func TestWatchEndsWhenItMayNot(t *testing.T) {
	s := newServer()
	s.forbid = true

	err := newRouter(t, s).Watch(t.Context(), billing, func() {})
	if err == nil || !strings.Contains(err.Error(), "agent billing: watch") {
		t.Error(err)
	}
}

// Istio's types are not installed, or the server is away for long: the caller is told.
func TestWatchEndsWhenItIsInVain(t *testing.T) {
	for name, away := range map[string]bool{"no types": false, "no server": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				s.missing = !away
				s.before = func(string, string) error {
					if away {
						return errBroken
					}

					return nil
				}

				started := time.Now()
				err := newRouter(t, s).Watch(t.Context(), billing, func() { t.Error("told of a change") })

				if took := time.Since(started); err == nil || away != (took > 5*time.Second) || took > 30*time.Second {
					t.Error(err, "after", took)
				}
			})
		})
	}
}

func TestAuthorize(t *testing.T) {
	s := newServer()
	router := newRouter(t, s)
	policies := s.client(t).SecurityV1().AuthorizationPolicies("default")

	for _, c := range []struct {
		callers []string
		allows  []string
	}{
		{nil, []string{"cluster.local/ns/default/sa/serin-gateway"}},
		{[]string{"triage", "scheduling", "triage"}, []string{
			"cluster.local/ns/default/sa/scheduling", "cluster.local/ns/default/sa/serin-gateway", "cluster.local/ns/default/sa/triage",
		}},
		{[]string{"triage"}, []string{"cluster.local/ns/default/sa/serin-gateway", "cluster.local/ns/default/sa/triage"}},
	} {
		for range 2 {
			if err := router.Authorize(t.Context(), billing, c.callers); err != nil {
				t.Fatal(err)
			}
		}

		policy, err := policies.Get(t.Context(), "billing", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}

		if got := policy.Spec.GetRules()[0].GetFrom()[0].GetSource().GetPrincipals(); !slices.Equal(got, c.allows) {
			t.Errorf("%v may hand off, not %v", got, c.allows)
		}

		if policy.Spec.GetSelector().GetMatchLabels()["app"] != "billing" || policy.Spec.GetAction().String() != "ALLOW" {
			t.Error(policy.Spec.String())
		}
	}

	if len(s.writes) != 3 {
		t.Error("writes without a change:", s.writes)
	}

	if err := router.Delete(t.Context(), billing); err != nil || len(s.objects) != 0 {
		t.Error(err, s.yaml())
	}
}

func TestAuthorizeLeavesForeignPoliciesAlone(t *testing.T) {
	s := newServer()
	s.load(t, "kind: AuthorizationPolicy\napiVersion: security.istio.io/v1\nmetadata: {name: billing, namespace: default}\nspec: {action: DENY}")

	if err := newRouter(t, s).Authorize(t.Context(), billing, nil); err != nil {
		t.Fatal(err)
	}

	if !slices.Equal(s.writes, []string{"POST authorizationpolicies"}) || !strings.Contains(s.yaml(), "name: billing-serin") {
		t.Error(s.writes, s.yaml())
	}

	s.edit(fmt.Sprintf(authorizationPolicies, "default")+"/billing-serin", func(d document) { delete(d.meta(), "labels") })

	if err := newRouter(t, s).Authorize(t.Context(), billing, nil); err == nil {
		t.Error("took a policy that is not Serin's")
	}
}

// A foreign policy of the agent's name came and went: one policy of Serin's is left, and it is the one that is kept.
func TestAuthorizeLeavesOnePolicy(t *testing.T) {
	const foreign = "kind: AuthorizationPolicy\napiVersion: security.istio.io/v1\nmetadata: {name: billing, namespace: default}\nspec: {action: DENY}"

	s := newServer()
	router := newRouter(t, s)
	path := fmt.Sprintf(authorizationPolicies, "default") + "/billing"

	s.load(t, foreign)

	for range 2 {
		if err := router.Authorize(t.Context(), billing, []string{"triage"}); err != nil {
			t.Fatal(err)
		}

		s.serve(http.MethodDelete, path, nil)
	}

	if !slices.Equal(s.writes, []string{"POST authorizationpolicies"}) {
		t.Error("the policy under the other name is as good:", s.writes)
	}

	// An earlier release made a second one in this place.
	s.load(t, strings.Replace(foreign, "namespace: default", "namespace: default, labels: {app.kubernetes.io/managed-by: serin}", 1))

	if err := router.Authorize(t.Context(), billing, nil); err != nil || strings.Contains(s.yaml(), "billing-serin") || strings.Contains(s.yaml(), "triage") {
		t.Error(err, s.yaml())
	}

	s.load(t, strings.Replace(foreign, "name: billing", "name: billing-serin", 1))
	s.edit(path, func(d document) { delete(d.meta(), "labels") })

	if err := router.Delete(t.Context(), billing); err != nil || len(s.objects) != 2 {
		t.Error("foreign policies are in the way of a deletion, or gone:", err, s.yaml())
	}
}

// FuzzMark feeds annotations that someone spoilt: they are read or called unreadable, and never in the way.
func FuzzMark(f *testing.F) {
	f.Add(`{"attempt":1,"seq":2,"phase":"Idle","stable":"aaa","write":1,"owns":{"split":"aaa=100"}}`)
	f.Add(`{"stable":1}`)
	f.Add("oops")

	f.Fuzz(func(t *testing.T, text string) {
		object := &metav1.ObjectMeta{Annotations: map[string]string{IntentAnnotation: text}}

		m := readMark(object)
		if m.there() == m.spoilt || *m.raw != text {
			t.Errorf("%+v", m)
		}

		if !m.there() {
			return
		}

		object.Annotations[IntentAnnotation] = m.String()
		if again := readMark(object); again.Intent != m.Intent || again.drift(m.Owns) != "" {
			t.Errorf("%+v became %+v", m, again)
		}
	})
}
