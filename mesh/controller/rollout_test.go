package controller_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/controller"
)

func TestFirstRevisionServesAtOnce(t *testing.T) {
	w := newWorld(t)
	stable := w.write(agentOf("billing", "v1"))
	w.start()
	w.waitReady()

	found := w.rollout("billing")
	if found.GetStable() != stable || found.GetPhase() != rolloutv1.Phase_PHASE_IDLE || len(found.GetProblems()) > 0 {
		t.Errorf("got %v", found)
	}

	if got := w.mesh.routing("billing"); !slices.Equal(got.Live, []string{stable}) || got.Intent.Weight != 0 {
		t.Errorf("the mesh carries %+v", got)
	}

	if got := w.machine.running(); !slices.Equal(got, []string{"billing-" + stable}) {
		t.Errorf("%v run", got)
	}
}

func TestEditRollsOutStepByStep(t *testing.T) {
	w := newWorld(t)
	a := w.write(agentOf("billing", "v1"))
	w.start()
	w.waitReady()

	b := w.write(agentOf("billing", "v2"))

	found := w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)
	if found.GetStable() != a || found.GetCandidate() != b || found.GetWeight() != 5 || found.GetStep() != 1 {
		t.Fatalf("got %v", found)
	}

	for _, weight := range []int32{25, 50} {
		answer, err := w.service.PromoteRollout(w.operator(), &rolloutv1.PromoteRolloutRequest{Agent: "billing"})
		if err != nil {
			t.Fatal(err)
		}

		if got := answer.GetRollout(); got.GetWeight() != weight || got.GetAppliedWeight() != weight {
			t.Errorf("after a promotion: %v, want %d%% applied", got, weight)
		}
	}

	if _, err := w.service.PromoteRollout(w.operator(), &rolloutv1.PromoteRolloutRequest{Agent: "billing"}); err != nil {
		t.Fatal(err)
	}

	found = w.waitPhase("billing", rolloutv1.Phase_PHASE_SUCCEEDED)
	if found.GetStable() != b || found.GetUndoRevision() != a || len(found.GetRevisions()) != 2 ||
		found.GetRevisions()[1].GetRole() != "warm" {
		t.Errorf("got %v", found)
	}

	answer, err := w.service.UndoRollout(w.operator(), &rolloutv1.UndoRolloutRequest{Agent: "billing"})
	if err != nil || answer.GetRollout().GetStable() != a {
		t.Errorf("undone: %v, %v", answer, err)
	}

	withdrawn := w.context.withdrawn("billing")
	if len(withdrawn) != 1 || withdrawn[0].GetRevision() != b || withdrawn[0].GetReplacement() != a || withdrawn[0].GetCause() != "undone" {
		t.Errorf("withdrawn: %v", withdrawn)
	}
}

func TestAbortIsCarriedOutBeforeItIsAnswered(t *testing.T) {
	w := newWorld(t)
	a, b := w.rollOut()

	answer, err := w.service.AbortRollout(w.operator(), &rolloutv1.AbortRolloutRequest{
		Agent: "billing", Fence: true, Reason: "it is rude",
	})
	if err != nil {
		t.Fatal(err)
	}

	if got := answer.GetRollout(); got.GetAppliedWeight() != 0 || !slices.Equal(got.GetRejected(), []string{b}) {
		t.Errorf("answered %v", got)
	}

	if got := w.mesh.routing("billing"); got.Intent.Weight != 0 || got.Redirects[b] != a {
		t.Errorf("the mesh carries %+v", got)
	}

	withdrawn := w.context.withdrawn("billing")
	if len(withdrawn) != 1 || !withdrawn[0].GetFence() || withdrawn[0].GetCause() != "aborted" || withdrawn[0].GetAttempt() != 1 {
		t.Errorf("withdrawn: %v", withdrawn)
	}

	w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)

	history, err := w.service.ListHistory(w.operator(), &rolloutv1.ListHistoryRequest{Agent: "billing"})
	if err != nil {
		t.Fatal(err)
	}

	last := history.GetEntries()[0]
	if last.GetActor() != rpc.Operator || last.GetAction() != "abort" || !strings.Contains(last.GetReason(), "it is rude") ||
		last.GetBefore().GetWeight() != 5 || last.GetAfter().GetWeight() != 0 {
		t.Errorf("the last entry is %v", last)
	}

	if _, err := w.abort("billing"); !fault.Is(err, "NO_CANDIDATE") && err != nil {
		t.Errorf("aborted twice: %v", err)
	}
}

func TestAbortWaitsForNothing(t *testing.T) {
	w := newWorld(t)
	w.write(agentOf("billing", "v1"))

	stored := w.slow()
	w.start()
	w.waitReady()

	b := w.write(agentOf("billing", "v2"))
	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)

	unavailable := func(string) error { return fault.New(14, "DOWN", "it is down") }

	t.Run("not for the disk nor the store", func(t *testing.T) {
		stored.fail.Store(true)
		w.context.setRefuse(unavailable)

		if _, err := w.abort("billing"); err != nil {
			t.Fatal(err)
		}

		w.eventually("the mesh carries it", func() bool { return w.mesh.routing("billing").Redirects[b] != "" })

		problems := strings.Join(w.rollout("billing").GetProblems(), "\n")
		if !strings.Contains(problems, "carried out but can't be kept") || !strings.Contains(problems, "withdraw "+b) {
			t.Errorf("the problems are %s", problems)
		}

		stored.fail.Store(false)
		w.context.setRefuse(func(string) error { return nil })
		w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)
		w.eventually("the problems are gone", func() bool { return len(w.rollout("billing").GetProblems()) == 0 })
	})

	t.Run("not for the mesh", func(t *testing.T) {
		if _, err := w.service.RetryRollout(w.operator(), &rolloutv1.RetryRolloutRequest{Agent: "billing"}); err != nil {
			t.Fatal(err)
		}

		w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)
		w.mesh.setRefuse(func(string, string) error { return fault.New(14, "DOWN", "it is down") })

		before := len(w.context.withdrawn("billing"))
		if _, err := w.abort("billing"); err != nil {
			t.Fatal(err)
		}

		w.eventually("the store knows", func() bool { return len(w.context.withdrawn("billing")) > before })
		w.mesh.setRefuse(func(string, string) error { return nil })
		w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)
	})
}

func TestAbortNeedsNoLookAtTheMesh(t *testing.T) {
	w := newWorld(t)
	w.write(agentOf("billing", "v1"))
	w.configure = func(config *controller.Config) { config.CarriedOut = 50 * time.Millisecond }
	w.start()
	w.waitReady()
	w.write(agentOf("billing", "v2"))
	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)
	w.stop()

	w.mesh.setRefuse(func(string, string) error { return fault.New(14, "DOWN", "it is down") })
	w.start()
	w.list() // waits until it knows what was kept

	ctx, cancel := context.WithTimeout(w.operator(), 100*time.Millisecond)
	defer cancel()

	_, err := w.service.SetWeight(ctx, &rolloutv1.SetWeightRequest{Agent: "billing", Weight: 50})
	if !fault.Is(err, "MESH_UNKNOWN") {
		t.Errorf("a weight was set without a look at the mesh: %v", err)
	}

	if _, err := w.abort("billing"); err != nil {
		t.Fatal(err)
	}

	w.eventually("the store knows", func() bool { return len(w.context.withdrawn("billing")) == 1 })
	w.mesh.setRefuse(func(string, string) error { return nil })
	w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)
}

func TestAutomaticRolloutJudges(t *testing.T) {
	for name, test := range map[string]struct {
		kind contextv1.Outcome_Kind
		took time.Duration
		want rolloutv1.Phase
	}{
		"healthy": {contextv1.Outcome_KIND_COMPLETED, 10 * time.Millisecond, rolloutv1.Phase_PHASE_SUCCEEDED},
		"failing": {contextv1.Outcome_KIND_FAILED, 10 * time.Millisecond, rolloutv1.Phase_PHASE_FAILED},
		"slow":    {contextv1.Outcome_KIND_HANDED_OFF, time.Minute, rolloutv1.Phase_PHASE_FAILED},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write(agentOf("billing", "v1"))
			w.start()
			w.waitReady()

			next := agentOf("billing", "v2")
			if err := w.startRollout(next, &rolloutv1.Plan{
				Steps: []int32{50}, Pause: durationpb.New(time.Millisecond), Automatic: true,
			}); err != nil {
				t.Fatal(err)
			}

			w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)
			w.context.happen(w.now(), "billing", short(next), contextv1.Outcome_KIND_CANCELLED, 60, test.took)
			w.context.happen(w.now(), "billing", short(next), test.kind, 49, test.took)

			w.eventually("49 turns count", func() bool { return candidate(w.rollout("billing")).GetNumbers().GetTurns() == 109 })

			if got := w.rollout("billing").GetPhase(); got != rolloutv1.Phase_PHASE_PROGRESSING {
				t.Fatalf("%s after 49 turns that count", got)
			}

			w.context.happen(w.now(), "billing", short(next), test.kind, 1, test.took)
			w.waitPhase("billing", test.want)
		})
	}
}

func candidate(rollout *rolloutv1.Rollout) *rolloutv1.Revision {
	for _, revision := range rollout.GetRevisions() {
		if revision.GetRole() == "candidate" {
			return revision
		}
	}

	return nil
}

func TestNothingIsJudgedWhileOutcomesAreMissing(t *testing.T) {
	w := newWorld(t)
	w.write(agentOf("billing", "v1"))
	w.start()
	w.waitReady()

	next := agentOf("billing", "v2")
	if err := w.startRollout(next, &rolloutv1.Plan{
		Steps: []int32{50}, Pause: durationpb.New(time.Millisecond), Automatic: true,
	}); err != nil {
		t.Fatal(err)
	}

	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)
	w.context.setRefuse(func(call string) error {
		if call == "watch" {
			return fault.New(14, "DOWN", "it is down")
		}

		return nil
	})
	w.context.happen(w.now(), "billing", short(next), contextv1.Outcome_KIND_COMPLETED, 100, 0)
	<-time.After(50 * time.Millisecond)

	if got := w.rollout("billing").GetPhase(); got != rolloutv1.Phase_PHASE_PROGRESSING {
		t.Errorf("%s while the outcomes are not known", got)
	}

	w.context.setRefuse(func(string) error { return nil })
	w.waitPhase("billing", rolloutv1.Phase_PHASE_SUCCEEDED)
}

func TestUnreadyCandidateIsAborted(t *testing.T) {
	w := newWorld(t)
	_, b := w.rollOut()
	w.machine.breaks("billing", b, "it crashes")

	w.eventually("the status says why", func() bool {
		return strings.Contains(strings.Join(w.rollout("billing").GetProblems(), "\n"), "process of "+b+": it crashes")
	})
	w.later(4 * time.Second)
	w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)
}

func TestSupersedeTakesTheOldCandidateBack(t *testing.T) {
	w := newWorld(t)
	a, b := w.rollOut()

	c := w.write(agentOf("billing", "v3"))
	w.eventually("the third is the candidate", func() bool {
		found := w.rollout("billing")

		return found.GetCandidate() == c && found.GetWeight() == 5
	})

	w.eventually("mesh and store know", func() bool {
		return w.mesh.routing("billing").Redirects[b] == a && len(w.context.withdrawn("billing")) == 1
	})

	if got := w.context.withdrawn("billing")[0]; got.GetRevision() != b || got.GetReplacement() != a {
		t.Errorf("withdrawn: %v", got)
	}
}

func TestWithdrawnRevisionsAreStopped(t *testing.T) {
	w := newWorld(t)
	a, b := w.rollOut()
	w.context.use("billing", &contextv1.RevisionUse{Revision: b, RunningTurns: 1})

	if _, err := w.abort("billing"); err != nil {
		t.Fatal(err)
	}

	w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)
	w.later(time.Minute)
	<-time.After(50 * time.Millisecond)

	if got := w.machine.running(); len(got) != 2 {
		t.Errorf("%v run while a turn runs on %s", got, b)
	}

	w.context.use("billing", &contextv1.RevisionUse{Revision: b})
	w.eventually("it is stopped", func() bool { return slices.Equal(w.machine.running(), []string{"billing-" + a}) })

	if got := w.mesh.routing("billing").Live; !slices.Equal(got, []string{a}) {
		t.Errorf("%v are routed", got)
	}
}

func TestActorIsWhoTheGatewayNames(t *testing.T) {
	w := newWorld(t)
	w.rollOut()

	for i, test := range []struct{ peer, named, want string }{
		{rpc.Gateway, "acme/ada", "acme/ada"},
		{rpc.Gateway, "", rpc.Gateway},
		{rpc.Operator, "acme/eve", rpc.Operator},
	} {
		ctx := metadata.NewIncomingContext(w.as(test.peer), metadata.Pairs(controller.ActorHeader, test.named))
		if _, err := w.service.SetWeight(ctx, &rolloutv1.SetWeightRequest{Agent: "billing", Weight: int32(10 + i)}); err != nil {
			t.Fatal(err)
		}

		history, err := w.service.ListHistory(ctx, &rolloutv1.ListHistoryRequest{Agent: "billing", PageSize: 1})
		if err != nil {
			t.Fatal(err)
		}

		if got := history.GetEntries()[0]; got.GetActor() != test.want || got.GetAction() != "set-weight" {
			t.Errorf("%s naming %q is recorded as %v", test.peer, test.named, got)
		}
	}
}

func TestCallersAreWidenedBeforeAndNarrowedAfter(t *testing.T) {
	w := newWorld(t)
	handsOff := func(spec *agentspec.AgentSpec) {
		spec.Handoffs = []agentspec.Handoff{{Agent: "scheduling", When: "asked"}}
	}

	w.write(agentOf("scheduling", "v1"))
	w.write(agentOf("billing", "v1"))
	w.start()
	w.waitReady()

	if got := w.mesh.mayCall()["scheduling"]; len(got) != 0 {
		t.Errorf("%v may call", got)
	}

	w.machine.setRefuse(func(call string) error {
		if got := w.mesh.mayCall()["scheduling"]; call == "apply" && !slices.Equal(got, []string{"billing"}) {
			t.Errorf("%v may call when the new revision begins to run", got)
		}

		return nil
	})

	b := w.write(agentOf("billing", "v2", handsOff))
	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)

	if _, err := w.abort("billing"); err != nil {
		t.Fatal(err)
	}

	w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)

	if got := w.mesh.mayCall()["scheduling"]; !slices.Equal(got, []string{"billing"}) {
		t.Errorf("%v may call while %s may still run", got, b)
	}

	w.later(time.Minute)
	w.eventually("callers are narrowed", func() bool { return len(w.mesh.mayCall()["scheduling"]) == 0 })
}

func TestAPolicyThatCantBeWrittenStopsNothingElse(t *testing.T) {
	w := newWorld(t)
	w.mesh.setRefuse(func(call, agent string) error {
		if call == "authorize" && agent == "billing" {
			return fault.New(9, "FOREIGN", "the policy is someone else's")
		}

		return nil
	})
	w.write(agentOf("billing", "v1"))
	w.write(agentOf("scheduling", "v1"))
	w.start()
	w.waitReady()
	w.eventually("it is reported", func() bool {
		return strings.Contains(strings.Join(w.rollout("billing").GetProblems(), "\n"), "the policy is someone else's")
	})

	if got := w.mesh.mayCall()["scheduling"]; got == nil {
		t.Error("the other policy was not written")
	}

	w.mesh.setRefuse(func(string, string) error { return nil })
	w.eventually("it is written", func() bool { return w.mesh.mayCall()["billing"] != nil && len(w.rollout("billing").GetProblems()) == 0 })
}
