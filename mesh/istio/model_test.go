package istio

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	versioned "istio.io/client-go/pkg/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

// model is a dumb engine that makes decisions at random, two leaders that write them, everyone else who edits the same
// objects, proxies that take them whenever they like, and the rules that must hold after each write.
type model struct {
	server  *server
	client  versioned.Interface
	router  *Router
	current Routing
	history []Routing
	next    int
	// left are revisions that are not live any more.
	left []string

	// drifting lets others edit what is Serin's. Until the current decision has been written again, what they did is
	// theirs: excused.
	drifting, excused bool
	// service and rule are the objects before the write that is checked; the proxies have those of proxyService and proxyRule.
	service, proxyService *networking.VirtualService
	rule, proxyRule       *networking.DestinationRule
	// writing is the decision that a leader works on, taken the one that a write takes traffic from, if it does.
	writing *Routing
	taken   string
	// writes counts what was written to either object since traffic was to be taken back.
	writes int
	// final are the withdrawals that the objects carried and no reinstatement followed, with their attempts.
	final  map[string]int64
	broken []string
}

func TestModel(t *testing.T)        { rapid.Check(t, func(t *rapid.T) { runModel(t, false) }) }
func TestModelOfDrift(t *testing.T) { rapid.Check(t, func(t *rapid.T) { runModel(t, true) }) }

func runModel(t *rapid.T, drifting bool) {
	m := &model{server: newServer(), next: 1, drifting: drifting, final: map[string]int64{}}
	m.client = m.server.client(t)
	m.router = m.other(t)
	m.server.after = func(method, path string) error { m.check(method, path); return nil }
	m.current = Routing{Intent: Intent{Attempt: 1, Seq: 1, Phase: "Idle", Stable: "r0"}, Live: []string{"r0"}}

	if rapid.Bool().Draw(t, "handwritten") {
		m.server.load(t, handwritten)
		m.snapshot()
	}

	actions := map[string]func(*rapid.T){
		"decide": m.decideAnything, "decide another": m.decideAnything, "take back": m.back, "apply": m.apply, "apply again": m.apply,
		"crash": m.crash, "conflict": m.conflict, "stale": m.stale, "race": m.race, "foreign": m.foreign, "settle": m.settle,
		"fork": m.fork, "fork again": m.fork, "delete": m.delete,
		"proxies take routes": m.takeRoutes, "proxies take subsets": m.takeSubsets,
		"": m.report,
	}
	if drifting {
		actions["drift"], actions["hold"], actions["spoil"] = m.drift, m.hold, m.spoil
	}

	t.Repeat(actions)
	m.settle(t)
}

// report fails the test with the first rule that was broken.
func (m *model) report(t *rapid.T) {
	if len(m.broken) > 0 {
		t.Fatalf("%s\n%s", m.broken[0], m.server.yaml())
	}
}

func (m *model) fail(format string, args ...any) {
	m.broken = append(m.broken, fmt.Sprintf(format, args...))
}

// decide makes a change to the decision the current one.
func (m *model) decide(phase string, change func(*Routing)) {
	next := m.current
	next.Live = slices.Clone(next.Live)
	next.Redirects = maps.Clone(next.Redirects)

	if next.Redirects == nil {
		next.Redirects = map[string]string{}
	}

	next.Intent.Phase = phase
	next.Intent.Seq++
	change(&next)

	if err := next.validate(); err != nil {
		m.fail("the model decides nonsense: %v", err)
	}

	m.history = append(m.history, m.current)
	m.current = next
}

func (m *model) candidate() string { return m.current.Intent.Candidate }

// decisions are those that an engine could make now.
func (m *model) decisions() map[string]func(*rapid.T) {
	possible := map[string]func(*rapid.T){"exclude": m.exclude}
	leaving := m.leaving()

	if m.candidate() == "" {
		if len(m.current.Live) < 3 {
			possible["start"] = m.start
		}

		if len(m.current.Redirects) > 0 {
			possible["retry"] = m.retry
		}

		if len(m.previous()) > 0 {
			possible["undo"] = m.undo
		}
	} else {
		possible["weight"], possible["abort"] = m.weight, m.takeBack

		if len(m.current.Live) < 4 {
			possible["supersede"] = m.supersede
		}

		// An engine promotes only what traffic has reached.
		if viewOf(m.service, m.rule).leads()[m.candidate()] {
			possible["promote"] = m.promote
		}
	}

	switch {
	case len(leaving) == 0:
	case m.current.withdrawn(leaving[0]):
		possible["gone"] = m.gone
	default:
		possible["withdraw"] = m.withdraw
	}

	return possible
}

// decideAnything makes one of them; the mesh does not hear of it yet.
func (m *model) decideAnything(t *rapid.T) {
	possible := m.decisions()
	possible[rapid.SampledFrom(slices.Sorted(maps.Keys(possible))).Draw(t, "decision")](t)
}

// start begins a rollout: of a new revision, or of one whose routes have just been taken away or are being.
func (m *model) start(t *rapid.T) {
	m.decide("Preparing", m.begin)

	if len(m.left) > 0 && rapid.Bool().Draw(t, "one that left") {
		again := m.left[len(m.left)-1]
		m.left = m.left[:len(m.left)-1]

		if m.current.live(again) { // a fork dropped it, and was not heard
			return
		}

		m.current.Live[len(m.current.Live)-1], m.current.Intent.Candidate = again, again
	}
}

func (m *model) begin(r *Routing) {
	r.Intent.Attempt++
	r.Intent.Candidate, r.Intent.Weight = fmt.Sprintf("r%d", m.next), 0
	r.Live = append(r.Live, r.Intent.Candidate)
	m.next++
}

func (m *model) weight(t *rapid.T) {
	m.decide("Progressing", func(r *Routing) { r.Intent.Weight = rapid.IntRange(0, 100).Draw(t, "weight") })
}

func (m *model) promote(*rapid.T) {
	m.decide("Succeeded", func(r *Routing) {
		for from, to := range r.Redirects {
			if to == r.Intent.Stable {
				r.Redirects[from] = r.Intent.Candidate
			}
		}

		r.Intent.Stable, r.Intent.Candidate, r.Intent.Weight = r.Intent.Candidate, "", 0
		r.Live = sortedBy(r.Live, r.Intent.Stable)
	})
}

func sortedBy(live []string, first string) []string {
	return append([]string{first}, slices.DeleteFunc(live, func(r string) bool { return r == first })...)
}

func withdraw(r *Routing, revision, to string) {
	for from, old := range r.Redirects {
		if old == revision {
			r.Redirects[from] = to
		}
	}

	r.Redirects[revision] = to
}

func (m *model) takeBack(*rapid.T) {
	m.decide("Aborting", func(r *Routing) {
		withdraw(r, r.Intent.Candidate, r.Intent.Stable)
		r.Intent.Candidate, r.Intent.Weight = "", 0
	})
}

// backwards are the decisions that take traffic back.
func (m *model) backwards() map[string]func(*rapid.T) {
	possible := m.decisions()
	maps.DeleteFunc(possible, func(name string, _ func(*rapid.T)) bool {
		return !slices.Contains([]string{"abort", "undo", "supersede"}, name)
	})

	return possible
}

// back takes traffic back, with all else at rest or not: by one write, if there is any traffic.
func (m *model) back(t *rapid.T) {
	atRest := rapid.Bool().Draw(t, "at rest")
	if atRest {
		m.settle(t)
	}

	possible := m.backwards()
	if len(possible) == 0 {
		t.Skip()
	}

	way := rapid.SampledFrom(slices.Sorted(maps.Keys(possible))).Draw(t, "way")
	taken := m.candidate()

	if way == "undo" {
		taken = m.current.Intent.Stable
	}

	routed := !m.excused && viewOf(m.service, m.rule).pins[taken] == taken
	possible[way](t)

	if routed {
		m.taken, m.writes = taken, 0
	}

	m.apply(t)

	// A superseding decision goes on with its candidate, and drift is put back, once traffic is back.
	if m.taken != "" && (m.writes == 0 || atRest && m.writes != 1 && way != "supersede" && !m.drifting) {
		t.Fatalf("to take %s back by %s took %d writes", taken, way, m.writes)
	}

	m.taken = ""
}

func (m *model) supersede(*rapid.T) {
	m.decide("Preparing", func(r *Routing) {
		withdraw(r, r.Intent.Candidate, r.Intent.Stable)
		m.begin(r)
	})
}

// previous are the revisions that an undo may return to.
func (m *model) previous() []string {
	return slices.DeleteFunc(m.current.serving(), func(r string) bool { return r == m.current.Intent.Stable })
}

func (m *model) undo(*rapid.T) {
	previous := m.previous()
	m.decide("Aborting", func(r *Routing) {
		stable := r.Intent.Stable
		r.Intent.Stable, r.Intent.Candidate, r.Intent.Weight = previous[0], "", 0
		withdraw(r, stable, previous[0])
		r.Live = sortedBy(r.Live, previous[0])
	})
}

func (m *model) retry(*rapid.T) {
	m.decide("Preparing", func(r *Routing) {
		r.Intent.Attempt++
		r.Intent.Candidate, r.Intent.Weight = r.redirected()[0], 0
		r.Live = sortedBy(r.Live, r.Intent.Stable)
		delete(r.Redirects, r.Intent.Candidate)
	})
}

// leaving are live revisions that are neither stable nor candidate.
func (m *model) leaving() []string {
	return slices.DeleteFunc(slices.Clone(m.current.Live), func(r string) bool {
		return r == m.current.Intent.Stable || r == m.candidate()
	})
}

func (m *model) withdraw(*rapid.T) {
	leaving := m.leaving()
	m.decide("Idle", func(r *Routing) { withdraw(r, leaving[0], r.Intent.Stable); m.keep(r) })
}

func (m *model) gone(*rapid.T) {
	leaving := m.leaving()
	m.left = append(m.left, leaving[0])
	m.decide("Idle", func(r *Routing) {
		delete(r.Redirects, leaving[0])
		r.Live = slices.DeleteFunc(r.Live, func(l string) bool { return l == leaving[0] })
		m.keep(r)
	})
}

// keep names the phase of a rollout that goes on.
func (*model) keep(r *Routing) {
	if r.Intent.Candidate != "" {
		r.Intent.Phase = "Progressing"
	}
}

func (m *model) exclude(t *rapid.T) {
	tenants := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"acme", "blue", "corp"}), 0, 2, rapid.ID).Draw(t, "tenants")
	m.decide("Idle", func(r *Routing) { r.ExcludedTenants = tenants; m.keep(r) })
}

func (m *model) apply(t *rapid.T) {
	if _, err := m.write(m.router, m.current); err != nil {
		t.Fatalf("%v\n%s", err, m.server.yaml())
	}

	m.excused = false
}

// write lets a leader work on a decision.
func (m *model) write(router *Router, r Routing) (Progress, error) {
	before := m.writing
	m.writing = &r

	defer func() { m.writing = before }()

	return router.Apply(context.Background(), billing, r)
}

// fork lets a leader that missed the last decisions make some of its own, and write the last of them. If the objects take
// it, everyone goes on from there.
func (m *model) fork(t *rapid.T) {
	main, history := m.current, m.history
	m.current = m.older(t)

	for range rapid.IntRange(1, 3).Draw(t, "own decisions") {
		m.decideAnything(t)
	}

	_, err := m.write(m.other(t), m.current)

	switch {
	case errors.Is(err, ErrStale):
		m.current, m.history = main, history
	case err != nil:
		t.Fatalf("%v\n%s", err, m.server.yaml())
	default:
		m.excused = false
		m.history = slices.DeleteFunc(slices.Clone(m.history), func(r Routing) bool { return newer(r.Intent, m.current.Intent) })
	}
}

// delete takes away what is Serin's, or begins to. Nobody who missed that comes back: nothing would tell.
func (m *model) delete(t *rapid.T) {
	m.writing, m.excused, m.history = nil, m.drifting, nil
	clear(m.final)

	for range rapid.IntRange(1, 4).Draw(t, "calls") {
		err := m.router.Delete(context.Background(), billing)
		if err == nil {
			break
		}

		if !errors.Is(err, ErrWaiting) {
			t.Fatalf("%v\n%s", err, m.server.yaml())
		}

		if rapid.Bool().Draw(t, "proxies are quick") {
			m.takeRoutes(t)
		}
	}
}

// hold lets someone change what is Serin's and ask to leave it so: nothing but a way back goes through.
func (m *model) hold(t *rapid.T) {
	annotate := func(policy string) {
		m.server.edit(serviceOf(billing), func(d document) { child(d.meta(), "annotations")[DriftAnnotation] = policy })
	}

	m.settle(t)
	annotate("hold")
	m.drift(t)

	held, err := m.router.Observe(context.Background(), billing)
	if err != nil {
		t.Fatal(err)
	}

	mark := readMark(m.service)
	m.decideAnything(t)

	back := m.current.Intent.Phase == phaseAborting ||
		slices.ContainsFunc(m.current.redirected(), func(r string) bool { return r == mark.Candidate || r == mark.Stable })
	before := len(m.server.writes)

	m.apply(t)

	if wrote := len(m.server.writes) > before; held.Drift != "" && wrote != back {
		t.Fatalf("drift is held (%s), wrote %v for %+v over %+v", held.Drift, wrote, m.current, mark.Intent)
	}

	annotate("correct")
	m.excused = true
	m.snapshot()
	m.apply(t)
}

// spoil lets someone destroy or remove a mark: nobody but who remembers it knows then what was decided; see
// TestALostMarkStillCounts.
func (m *model) spoil(t *rapid.T) {
	m.settle(t)

	m.excused, m.history = true, nil
	clear(m.final)

	gone := rapid.Bool().Draw(t, "gone")
	path := rapid.SampledFrom([]string{serviceOf(billing), ruleOf(billing)}).Draw(t, "object")
	m.server.edit(path, func(d document) {
		child(d.meta(), "annotations")[IntentAnnotation] = "oops"
		if gone {
			delete(child(d.meta(), "annotations"), IntentAnnotation)
		}
	})
	m.snapshot()
}

// crash ends the controller before or after one of its requests, and starts it again.
func (m *model) crash(t *rapid.T) {
	left, lost := rapid.IntRange(0, 8).Draw(t, "requests"), rapid.Bool().Draw(t, "answer lost")
	after := m.server.after

	m.server.before = func(string, string) error {
		if left--; left < 0 && !lost {
			return errBroken
		}

		return nil
	}
	m.server.after = func(method, path string) error {
		_ = after(method, path)

		if left < 0 && lost {
			return errBroken
		}

		return nil
	}

	_, _ = m.write(m.router, m.current)
	m.server.before, m.server.after = nil, after
	m.router = m.other(t)
}

// conflict lets someone edit the objects ahead of each of some requests.
func (m *model) conflict(t *rapid.T) {
	edits := rapid.IntRange(1, 4).Draw(t, "edits")
	m.server.before = func(string, string) error {
		if edits--; edits >= 0 {
			m.foreign(t)
		}

		return nil
	}

	m.apply(t)
	m.server.before = nil
}

// stale lets a leader write an older decision.
func (m *model) stale(t *rapid.T) {
	old := m.older(t)
	_, err := m.write(m.other(t), old)

	if err != nil && !errors.Is(err, ErrStale) {
		t.Fatal(err)
	}
}

// race lets another leader decide and write in the middle of the work of one that has not heard of it.
func (m *model) race(t *rapid.T) {
	m.decideAnything(t)

	old, left := m.current, rapid.IntRange(0, 6).Draw(t, "requests")
	m.server.before = func(string, string) error {
		if left--; left == -1 {
			m.server.before = nil
			m.interfere(t)
		}

		return nil
	}
	_, err := m.write(m.other(t), old)
	m.server.before = nil

	if err != nil && !errors.Is(err, ErrStale) {
		t.Fatal(err)
	}
}

func (m *model) interfere(t *rapid.T) {
	m.decideAnything(t)

	if rapid.Bool().Draw(t, "it crashes too") {
		m.crash(t)

		return
	}

	m.apply(t)

	if rapid.Bool().Draw(t, "proxies are quick") {
		m.takeSubsets(t)
		m.takeRoutes(t)
		m.apply(t)
	}
}

func (m *model) older(t *rapid.T) Routing {
	if len(m.history) == 0 {
		t.Skip()
	}

	return rapid.SampledFrom(m.history[max(0, len(m.history)-5):]).Draw(t, "older decision")
}

// other is a controller that knows nothing yet.
func (m *model) other(t *rapid.T) *Router {
	router, err := New(Config{Client: m.client, Propagation: Reconciled{}})
	if err != nil {
		t.Fatal(err)
	}

	return router
}

func (m *model) takeRoutes(*rapid.T) {
	m.server.reconcile(serviceOf(billing))
	m.snapshot()
	m.proxyService = m.service
}

func (m *model) takeSubsets(*rapid.T) {
	m.server.reconcile(ruleOf(billing))
	m.snapshot()
	m.proxyRule = m.rule
}

// settle lets everything come to rest, and compares the objects with the decision.
func (m *model) settle(t *rapid.T) {
	var progress Progress

	for range 30 {
		var err error
		if progress, err = m.write(m.router, m.current); err != nil {
			t.Fatal(err)
		}

		m.excused = false
		m.report(t)

		if progress.Done {
			m.settled(t, progress)

			return
		}

		m.takeSubsets(t)
		m.takeRoutes(t)
	}

	t.Fatalf("does not settle: %+v, wanted %+v\n%s", progress, m.current, m.server.yaml())
}

func (m *model) settled(t *rapid.T, progress Progress) {
	if *progress.Observed != m.current.Intent || progress.Weight != m.current.Intent.Weight {
		t.Fatalf("observed %+v and weight %d, decided %+v", *progress.Observed, progress.Weight, m.current.Intent)
	}

	v := viewOf(m.service, m.rule)
	want := map[string]string{}

	for _, p := range m.current.pinned() {
		want[p.revision] = p.to
	}

	if !maps.Equal(v.pins, want) {
		t.Fatalf("pins %v, decided %v\n%s", v.pins, want, m.server.yaml())
	}

	if stable := m.current.Intent.Stable; v.sum != 100 || v.split[stable] != 100-m.current.Intent.Weight {
		t.Fatalf("the split is %v, decided %+v", v.split, m.current.Intent)
	}

	for _, revision := range m.current.serving() {
		if !slices.Contains(v.anchors, revision) || !slices.Contains(v.subsets, revision) {
			t.Fatalf("%s has no anchor or no subset\n%s", revision, m.server.yaml())
		}
	}

	for _, revision := range progress.Routed {
		if !m.current.live(revision) && !m.current.withdrawn(revision) {
			t.Fatalf("%s is still routed", revision)
		}
	}
}

// snapshot reads the objects.
func (m *model) snapshot() {
	before, after := m.server.before, m.server.after
	m.server.before, m.server.after = nil, nil
	m.service, _ = m.client.NetworkingV1().VirtualServices(billing.Namespace).Get(context.Background(), billing.Name, metav1.GetOptions{})
	m.rule, _ = m.client.NetworkingV1().DestinationRules(billing.Namespace).Get(context.Background(), billing.Name, metav1.GetOptions{})
	m.server.before, m.server.after = before, after

	if m.service.GetName() == "" {
		m.service = nil
	}

	if m.rule.GetName() == "" {
		m.rule = nil
	}
}
