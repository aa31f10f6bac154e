package istio_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serinhq/serin/mesh/canary"
	"github.com/serinhq/serin/mesh/istio"
)

var (
	agent     = istio.Agent{Namespace: "default", Name: "billing"}
	revisions = []string{"a", "b", "c", "d"}
)

// leader is the real engine that steers real objects: what it decides, the objects must take.
type leader struct {
	router   *istio.Router
	state    canary.State
	progress istio.Progress
	// known says that the objects were looked at; done is the decision that they were found to carry.
	known bool
	done  *istio.Routing
	// confirmed are the withdrawals that the store has carried out.
	confirmed []canary.Withdrawal
}

func newLeader(t *rapid.T, cluster istio.Cluster) *leader {
	router, err := istio.New(istio.Config{Client: cluster.Client(t), Propagation: istio.Reconciled{}})
	if err != nil {
		t.Fatal(err)
	}

	return &leader{router: router, state: canary.State{Agent: "billing"}}
}

func (l *leader) routing() istio.Routing {
	want := canary.Want(l.state)

	return istio.Routing{
		Intent: istio.Intent{
			Attempt: want.Intent.Attempt, Seq: want.Intent.Seq, Phase: string(want.Intent.Phase),
			Stable: want.Intent.Stable, Candidate: want.Intent.Candidate, Weight: want.Intent.Weight,
		},
		Live: want.Live, Redirects: want.Redirects,
	}
}

func (l *leader) observe(now time.Time) canary.Observation {
	seen := canary.Observation{Now: now, Confirmed: l.confirmed, Ready: map[string]canary.Readiness{}, Use: map[string]canary.Use{}}
	for _, revision := range revisions {
		seen.Ready[revision] = canary.Readiness{Ready: 1}
	}

	if l.known {
		seen.Routed = l.progress.Routed
		seen.Converged = l.done != nil && same(*l.done, l.routing())

		if i := l.progress.Observed; i != nil {
			seen.Mesh = &canary.Intent{
				Attempt: i.Attempt, Seq: i.Seq, Phase: canary.Phase(i.Phase), Stable: i.Stable, Candidate: i.Candidate, Weight: i.Weight,
			}
		}
	}

	return seen
}

func same(a, b istio.Routing) bool {
	return a.Intent == b.Intent && slices.Equal(a.Live, b.Live) && maps.Equal(a.Redirects, b.Redirects)
}

func (l *leader) step(now time.Time, command *canary.Command) {
	l.state, _, _ = canary.Step(l.state, l.observe(now), command)
}

// apply writes what the engine wants, and sees what came of it.
func (l *leader) apply(t *rapid.T) error {
	routing := l.routing()
	progress, err := l.router.Apply(t.Context(), agent, routing)

	l.known, l.progress, l.done = true, progress, nil
	if err == nil && progress.Done {
		l.done = &routing
	}

	return err
}

func drawCommand(t *rapid.T) *canary.Command {
	kind := rapid.SampledFrom([]canary.Kind{
		"", "", "", canary.Declare, canary.Declare, canary.Start, canary.SetWeight, canary.Resume, canary.Promote, canary.Promote,
		canary.Promote, canary.Abort, canary.Undo, canary.Undo, canary.Retry, canary.Retry,
	}).Draw(t, "command")
	if kind == "" {
		return nil
	}

	return &canary.Command{
		Kind: kind, Revision: rapid.SampledFrom(revisions).Draw(t, "revision"), Full: true,
		Weight: rapid.IntRange(0, 100).Draw(t, "weight"),
		Plan: canary.Plan{
			Steps: []int{10, 100}, UndoWindow: time.Minute, RetireIdle: 3 * time.Hour, RetireAfter: 5 * time.Hour,
		},
	}
}

// TestTheEngineIsNeverStale plays stories of one engine: it retries, promotes and undoes revisions that were withdrawn, in
// any order, with objects that lag behind by several decisions. Nothing that it decides may be taken for a stale decision.
func TestTheEngineIsNeverStale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cluster, now := istio.NewCluster(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		l := newLeader(t, cluster)
		l.step(now, &canary.Command{Kind: canary.Declare, Revision: "a", Plan: canary.Plan{Steps: []int{100}}})

		for range rapid.IntRange(1, 60).Draw(t, "decisions") {
			now = now.Add(rapid.SampledFrom([]time.Duration{time.Second, 15 * time.Second, 2 * time.Minute, 3 * time.Hour}).Draw(t, "passes"))
			l.step(now, drawCommand(t))

			if rapid.IntRange(0, 3).Draw(t, "store stops") > 0 {
				l.confirmed = append(l.confirmed, canary.Want(l.state).Withdrawals...)
			}

			for range rapid.IntRange(0, 3).Draw(t, "applied") {
				if err := l.apply(t); err != nil {
					t.Fatalf("%v\n%+v\n%s", err, l.routing(), cluster.YAML())
				}

				cluster.Reconcile()
			}
		}
	})
}

// TestForkedEnginesNeverUndo plays stories of two engines that take turns and forget to look at the objects: whatever they
// decide, nothing leads to a revision that was withdrawn in that attempt, and none is stable again that was undone. Their
// stories are shorter than it takes to retire the revision that an undo returned to.
func TestForkedEnginesNeverUndo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cluster, now := istio.NewCluster(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		first, second := newLeader(t, cluster), newLeader(t, cluster)
		first.step(now, &canary.Command{Kind: canary.Declare, Revision: "a", Plan: canary.Plan{Steps: []int{100}}})

		final := map[string]int64{}

		for range rapid.IntRange(1, 60).Draw(t, "decisions") {
			now = now.Add(rapid.SampledFrom([]time.Duration{time.Second, 15 * time.Second, 2 * time.Minute}).Draw(t, "passes"))
			l := first

			switch rapid.SampledFrom([]string{"first", "first", "second", "fork"}).Draw(t, "who") {
			case "second":
				l = second
			case "fork":
				second.state, second.confirmed = first.state, slices.Clone(first.confirmed)
			}

			if l.state.Stable == "" {
				continue
			}

			l.step(now, drawCommand(t))
			l.confirmed = append(l.confirmed, canary.Want(l.state).Withdrawals...)

			if err := l.apply(t); err != nil && !errors.Is(err, istio.ErrStale) {
				t.Fatal(err)
			} else if err == nil {
				l.check(t, final)
			}

			cluster.Reconcile()
		}
	})
}

// check notes what the objects carry now.
func (l *leader) check(t *rapid.T, final map[string]int64) {
	r := l.routing()

	for _, revision := range r.Live {
		if _, withdrawn := r.Redirects[revision]; withdrawn {
			continue
		}

		if attempt, ok := final[revision]; ok && (attempt == r.Intent.Attempt || revision == r.Intent.Stable) {
			t.Fatalf("attempt %d withdrew %s, now the objects carry %+v", attempt, revision, r)
		}

		delete(final, revision)
	}

	for revision := range r.Redirects {
		final[revision] = r.Intent.Attempt
	}
}
