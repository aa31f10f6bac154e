package controller_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

// judged starts an automatic rollout that nothing but its evidence decides about.
func (w *world) judged(steps ...int32) string {
	w.Helper()

	w.write(agentOf("billing", "v1"))
	w.start()
	w.waitReady()

	next := agentOf("billing", "v2")
	if err := w.startRollout(next, &rolloutv1.Plan{
		Steps: steps, Pause: durationpb.New(time.Millisecond), Automatic: true,
	}); err != nil {
		w.Fatal(err)
	}

	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)

	return short(next)
}

// counted waits until so many turns of the candidate are counted, and the agent has had the time to judge by them.
func (w *world) counted(turns int64) {
	w.Helper()

	w.eventually("the turns are counted", func() bool { return candidate(w.rollout("billing")).GetNumbers().GetTurns() == turns })
	<-time.After(50 * time.Millisecond)
}

func TestWhatTheGateTakesForFailed(t *testing.T) {
	byCaller := func(outcome *contextv1.Outcome) { outcome.ByCaller, outcome.Reason = true, "AGENT_UNAVAILABLE" }
	died := func(outcome *contextv1.Outcome) { outcome.Reason = "EXECUTOR_DIED" }

	for name, test := range map[string]struct {
		kind contextv1.Outcome_Kind
		edit func(*contextv1.Outcome)
		want rolloutv1.Phase
	}{
		"its caller could not reach it": {contextv1.Outcome_KIND_FAILED, byCaller, rolloutv1.Phase_PHASE_FAILED},
		"its processes die":             {contextv1.Outcome_KIND_LOST, died, rolloutv1.Phase_PHASE_FAILED},
		"it gives segments back":        {contextv1.Outcome_KIND_LOST, nil, rolloutv1.Phase_PHASE_SUCCEEDED},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.judged(50)
			w.context.happens(w.now(), "billing", b, test.kind, 3, time.Millisecond, test.edit)
			w.context.happen(w.now(), "billing", b, contextv1.Outcome_KIND_COMPLETED, 50, time.Millisecond)
			w.waitPhase("billing", test.want)
		})
	}
}

// TestNobodyPromotesWithoutEvidence: a rollout by itself, whose first step is everything, waits for turns.
func TestNobodyPromotesWithoutEvidence(t *testing.T) {
	w := newWorld(t)
	b := w.judged(100)
	w.context.happen(w.now(), "billing", b, contextv1.Outcome_KIND_COMPLETED, 49, time.Millisecond)
	w.context.happen(w.now(), "billing", b, contextv1.Outcome_KIND_WAITING, 100, time.Millisecond)
	w.counted(149)

	if got := w.rollout("billing"); got.GetPhase() != rolloutv1.Phase_PHASE_PROGRESSING || got.GetWeight() != 100 {
		t.Fatalf("after 49 turns, and 100 that wait for a human: %v", got)
	}

	w.context.happen(w.now(), "billing", b, contextv1.Outcome_KIND_COMPLETED, 1, time.Millisecond)
	w.waitPhase("billing", rolloutv1.Phase_PHASE_SUCCEEDED)
}

// TestRetryBringsFreshEvidence: what an attempt before came to is not held against the next one.
func TestRetryBringsFreshEvidence(t *testing.T) {
	w := newWorld(t)
	b := w.judged(50)
	w.context.happen(w.now(), "billing", b, contextv1.Outcome_KIND_FAILED, 50, time.Millisecond)
	w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)

	late := w.now() // a segment that began before the retry, and ends after it

	if _, err := w.service.RetryRollout(w.operator(), &rolloutv1.RetryRolloutRequest{Agent: "billing"}); err != nil {
		t.Fatal(err)
	}

	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)
	w.context.happen(late, "billing", b, contextv1.Outcome_KIND_FAILED, 50, time.Second)
	w.context.happen(w.now(), "billing", b, contextv1.Outcome_KIND_COMPLETED, 10, time.Millisecond)
	w.counted(10)

	if got := w.rollout("billing"); got.GetPhase() != rolloutv1.Phase_PHASE_PROGRESSING {
		t.Fatalf("old failures count: %v", got)
	}

	w.stop()
	w.start()
	w.counted(10)

	w.context.happen(w.now(), "billing", b, contextv1.Outcome_KIND_COMPLETED, 40, time.Millisecond)
	w.waitPhase("billing", rolloutv1.Phase_PHASE_SUCCEEDED)
}

// TestAPauseIsNoAmnesty: an automatic rollout is judged while it is paused.
func TestAPauseIsNoAmnesty(t *testing.T) {
	w := newWorld(t)
	b := w.judged(10, 50)

	if _, err := w.service.PauseRollout(w.operator(), &rolloutv1.PauseRolloutRequest{Agent: "billing"}); err != nil {
		t.Fatal(err)
	}

	w.context.happen(w.now(), "billing", b, contextv1.Outcome_KIND_FAILED, 50, time.Millisecond)
	w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)
}

// TestOldAnswersAboutUseAbortNothing: what the store said of the candidate before it was reinstated is no abort.
func TestOldAnswersAboutUseAbortNothing(t *testing.T) {
	w := newWorld(t)
	_, b := w.rollOut()
	w.context.use("billing", &contextv1.RevisionUse{Revision: b, RunningTurns: 1})

	if _, err := w.abort("billing"); err != nil {
		t.Fatal(err)
	}

	w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)
	w.context.setRefuse(func(call string) error {
		if call == "withdraw" {
			return fault.New(14, "DOWN", "it is down")
		}

		return nil
	})

	if _, err := w.service.RetryRollout(w.operator(), &rolloutv1.RetryRolloutRequest{Agent: "billing"}); err != nil {
		t.Fatal(err)
	}

	if _, err := w.service.PauseRollout(w.operator(), &rolloutv1.PauseRolloutRequest{Agent: "billing"}); err != nil {
		t.Fatal(err)
	}

	<-time.After(50 * time.Millisecond) // it asks: the revision is still withdrawn
	w.context.setRefuse(func(call string) error {
		if call == "list" {
			return fault.New(14, "DOWN", "it is down") // and gets no newer answer for now
		}

		return nil
	})
	w.eventually("it is reinstated", func() bool { return w.lastWithdrawals()[b] == b })
	<-time.After(50 * time.Millisecond)

	if got := w.rollout("billing"); got.GetPhase() != rolloutv1.Phase_PHASE_PAUSED || got.GetCandidate() != b {
		t.Errorf("got %v", got)
	}
}

// TestReplacedRevisionsRetire: once they were idle for long enough, and the oldest as soon as a fourth comes; their
// processes stop.
func TestReplacedRevisionsRetire(t *testing.T) {
	w := newWorld(t)
	w.write(agentOf("billing", "v1"))
	w.start()
	w.waitReady()

	promote := func(prompt string) string {
		t.Helper()

		next := w.write(agentOf("billing", prompt, func(spec *agentspec.AgentSpec) { spec.Rollout.Steps = []int32{100} }))
		w.eventually(prompt+" is stable", func() bool { return w.rollout("billing").GetStable() == next })

		return next
	}

	cause := func(revision string) string {
		for _, one := range w.context.withdrawn("billing") {
			if one.GetRevision() == revision {
				return one.GetCause() + " for " + one.GetReplacement()
			}
		}

		return ""
	}

	runs := func(revision string) func() bool {
		return func() bool { return slices.Contains(w.machine.running(), "billing-"+revision) }
	}

	a := w.rollout("billing").GetStable()
	inUse := func(revision string) {
		w.context.use("billing", &contextv1.RevisionUse{Revision: revision, RunningTurns: 1})
	}

	inUse(a)
	b := promote("v2")
	inUse(b)
	w.later(16 * time.Minute) // the window of the undo
	w.eventually("a drains", func() bool { return roles(w.rollout("billing"))[a] == "draining" })
	c := promote("v3")

	if got := cause(a); got != "" || !runs(a)() {
		t.Errorf("three are live: a was withdrawn (%s), or does not run", got)
	}

	w.later(16 * time.Minute)
	w.eventually("b drains", func() bool { return roles(w.rollout("billing"))[b] == "draining" })
	d := promote("v4")
	w.eventually("a retired to make room", func() bool { return cause(a) == "retired for "+c })

	if got := cause(b); got != "" {
		t.Errorf("b was withdrawn: %s", got)
	}

	w.context.use("billing", &contextv1.RevisionUse{Revision: a})
	w.later(time.Minute)
	w.eventually("a stopped", func() bool { return !runs(a)() })

	w.context.use("billing", &contextv1.RevisionUse{Revision: b})
	w.later(16 * time.Minute)
	w.eventually("c drains", func() bool { return roles(w.rollout("billing"))[c] == "draining" })
	w.later(25 * time.Hour)
	w.eventually("b and c retired", func() bool { return cause(b) == "retired for "+d && cause(c) == "retired for "+d })
	w.later(time.Minute)
	w.eventually("only d runs", func() bool { return !runs(b)() && !runs(c)() && runs(d)() })

	if got := w.mesh.routing("billing"); len(got.Live) != 1 || got.Live[0] != d {
		t.Errorf("the mesh carries %+v", got)
	}
}

func roles(rollout *rolloutv1.Rollout) map[string]string {
	found := map[string]string{}
	for _, revision := range rollout.GetRevisions() {
		found[revision.GetRevision()] = revision.GetRole()
	}

	return found
}
