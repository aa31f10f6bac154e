package app_test

import (
	"context"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
	"github.com/serinhq/serin/internal/supervise"
	"github.com/serinhq/serin/loadtest"
)

// whileTalking runs do while conversations of five turns, which pass through all agents, go on; then none of them may
// have failed, seen two revisions of an agent without the log saying so, or lost or doubled an event.
func (p *testPlatform) whileTalking(rate float64, do func(ctx context.Context, load *loadtest.Load)) *loadtest.Report {
	p.t.Helper()

	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()

	// Users think, so that there are conversations which have met a revision and go on after it was withdrawn. On a busy
	// machine they wait for each other: how long turns take is not what is tested here.
	scenario := loadtest.Steady(rate, 0)
	scenario.Think = 500 * time.Millisecond

	load, err := loadtest.Start(ctx, loadtest.Config{
		URL: p.url, Transport: p.transport, Scenario: scenario, Audit: true, MaxOpen: 48, TurnTimeout: 2 * patience,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	defer load.Hangup()

	more(ctx, p.t, load, 10)
	do(ctx, load)
	load.Stop() // everyone who is there goes on to the end

	report, err := load.Wait()
	if err != nil {
		p.t.Fatal(err)
	}

	p.unharmed(report)
	p.inTheMesh()

	return report
}

// inTheMesh wants that every process of now took everything that the mesh told it.
func (p *testPlatform) inTheMesh() {
	p.t.Helper()

	for _, status := range p.platform.Statuses() {
		name := replicaSuffix.ReplaceAllString(status.Name, "")
		if status.State != supervise.Ready || slices.Contains([]string{rpc.Gateway, rpc.Ambassador, rpc.Mesh}, name) {
			continue // the last three serve nothing in the mesh that could be asked
		}

		if address, ok := p.find(status.Name); ok { // or it has been retired meanwhile
			p.askMesh(status.Name, p.dialProcess(p.certificates(rpc.Operator), address, name))
		}
	}
}

// askMesh asks a process what it has of the mesh. One that is being retired may leave before it answers.
func (p *testPlatform) askMesh(process string, connection *grpc.ClientConn) {
	p.t.Helper()

	var err error

	for deadline := time.Now().Add(patience / 4); time.Now().Before(deadline); <-time.After(100 * time.Millisecond) {
		if err = rpctest.AskMesh(p.t.Context(), connection); err == nil || !p.serves(process) {
			return
		}
	}

	p.t.Errorf("%s: %v", process, err)
}

func (p *testPlatform) serves(process string) bool {
	return slices.ContainsFunc(p.platform.Statuses(), func(status supervise.Status) bool {
		return status.Name == process && status.State == supervise.Ready
	})
}

func (p *testPlatform) unharmed(report *loadtest.Report) {
	p.t.Helper()

	failed := report.Turns.FailedExcept(loadtest.ProviderError)
	if failed+report.Flips+report.Lost+report.Doubled+report.Conversations.Refused > 0 {
		p.t.Errorf("%d failed turns, %d flips, %d lost and %d doubled events, %d refused: %v\n%v", failed, report.Flips,
			report.Lost, report.Doubled, report.Conversations.Refused, report.Turns.FailedBy, report.Violations)
	}

	p.t.Logf("%d conversations, %d turns, %d changes of revision, p50 %s, p99 %s", report.Conversations.Started,
		report.Turns.Sent, report.Changes, report.Latency.Quantile(0.5), report.Latency.Quantile(0.99))
}

// more waits until so many more conversations began.
func more(ctx context.Context, tb testing.TB, load *loadtest.Load, conversations int) {
	tb.Helper()

	before := load.Counts().Started
	if err := load.Until(ctx, func(counts loadtest.Counts) bool { return counts.Started >= before+conversations }); err != nil {
		tb.Error(err)
	}
}

// withdrawal is when a revision was taken back for good.
type withdrawal struct {
	revision string
	at       time.Time
}

// withdrawn wants that nothing began on the revision since it was withdrawn: everyone who had met it was moved.
func withdrawn(t *testing.T, report *loadtest.Report, gone withdrawal) {
	t.Helper()

	if gone.revision == "" {
		return
	}

	if late := report.Starts("billing", gone.revision, gone.at, time.Time{}); late > 0 {
		t.Errorf("%d segments began on %s after it was withdrawn", late, gone.revision)
	}
}

// Nothing that a person or a crash does to a rollout is noticed by a conversation.
func TestConversationsNoticeNothing(t *testing.T) {
	underLoad(t)

	p := startPlatform(t)
	first := p.rollout("billing").GetStable()
	candidate, gone, moved := "", withdrawal{}, 0
	takenBack := func() { gone = withdrawal{candidate, time.Now()} }

	// undisturbed wants that what happens decides nothing and moves no weight.
	undisturbed := func(t *testing.T, do func()) {
		t.Helper()

		before := p.rollout("billing")
		do()

		after := p.awaitRollout("billing", "as before", carries(candidate, before.GetAppliedWeight()))
		if after.GetSequence() != before.GetSequence() {
			t.Errorf("while nobody decided anything, %v became %v", before, after)
		}
	}

	// The plan's processes go away and come back in the middle of it.
	kill := func(name string) func(context.Context, *loadtest.Load) {
		return func(ctx context.Context, load *loadtest.Load) {
			undisturbed(t, func() {
				p.kill(name)
				more(ctx, t, load, 20)
			})
		}
	}

	for _, act := range []struct {
		name string
		do   func(context.Context, *loadtest.Load)
	}{
		{"start and step up", func(ctx context.Context, load *loadtest.Load) {
			candidate = p.startCanary("billing", "\nBe brief.", manual(10, 50))
			p.awaitRollout("billing", "at 10%", carries(candidate, 10))
			more(ctx, t, load, 20)
			p.steer("billing", "promote", nil)
			p.awaitRollout("billing", "at 50%", carries(candidate, 50))
			more(ctx, t, load, 20)
		}},
		{"kill the controller", kill(rpc.Controller)},
		{"kill the control plane", kill(rpc.Mesh)},
		{"the control plane is down for a while", func(ctx context.Context, load *loadtest.Load) {
			undisturbed(t, func() {
				p.signal(rpc.Mesh, syscall.SIGSTOP)
				more(ctx, t, load, 20)
				p.signal(rpc.Mesh, syscall.SIGCONT)
				more(ctx, t, load, 10)
			})
		}},
		{"kill the canary", func(ctx context.Context, load *loadtest.Load) { kill("billing-"+candidate)(ctx, load) }},
		{"supersede", func(ctx context.Context, load *loadtest.Load) {
			defer func(before string) { gone.revision = before }(candidate)
			defer takenBack()

			candidate = p.startCanary("billing", "\nBe very brief.", manual(30, 60))
			p.awaitRollout("billing", "at 30%", carries(candidate, 30))
			more(ctx, t, load, 20)
		}},
		{"abort", func(ctx context.Context, load *loadtest.Load) {
			p.steer("billing", "abort", &rolloutv1.AbortRolloutRequest{Reason: "a test"})
			p.awaitRollout("billing", "aborted", settled(rolloutv1.Phase_PHASE_FAILED, first))
			takenBack()
			more(ctx, t, load, 10)
		}},
		{"retry, abort, and kill the controller in the middle of it", func(ctx context.Context, load *loadtest.Load) {
			for _, when := range []string{"before", "after"} {
				p.steer("billing", "retry", nil)
				p.awaitRollout("billing", "at 30%", carries(candidate, 30))
				more(ctx, t, load, 10)
				p.crashAt(rpc.Controller + " Withdraw " + when + " 1")
				p.steer("billing", "abort", nil)
				p.awaitRollout("billing", "aborted", settled(rolloutv1.Phase_PHASE_FAILED, first))

				if !p.crashed() {
					t.Errorf("the controller did not withdraw, %s it was to die", when)
				}
			}
		}},
		{"retry and abort with a fence", func(ctx context.Context, load *loadtest.Load) {
			p.steer("billing", "retry", nil)
			p.awaitRollout("billing", "at 30%", carries(candidate, 30))
			p.steer("billing", "setWeight", &rolloutv1.SetWeightRequest{Weight: 80})
			p.awaitRollout("billing", "at 80%", carries(candidate, 80))
			more(ctx, t, load, 20)
			p.steer("billing", "abort", &rolloutv1.AbortRolloutRequest{Fence: true})
			p.awaitRollout("billing", "aborted", settled(rolloutv1.Phase_PHASE_FAILED, first))
			takenBack()
			more(ctx, t, load, 10)
		}},
		{"promote", func(ctx context.Context, load *loadtest.Load) {
			p.steer("billing", "retry", nil)
			p.awaitRollout("billing", "at 30%", carries(candidate, 30))
			more(ctx, t, load, 10)
			p.steer("billing", "promote", &rolloutv1.PromoteRolloutRequest{Full: true})
			p.awaitRollout("billing", "promoted", settled(rolloutv1.Phase_PHASE_SUCCEEDED, candidate))
			more(ctx, t, load, 10)
		}},
		{"undo", func(ctx context.Context, load *loadtest.Load) {
			p.steer("billing", "undo", nil)
			p.awaitRollout("billing", "undone", settled(rolloutv1.Phase_PHASE_FAILED, first))
			takenBack()
			more(ctx, t, load, 10)
		}},
	} {
		if !t.Run(act.name, func(t *testing.T) {
			p.t, gone = t, withdrawal{}
			report := p.whileTalking(8, act.do)
			withdrawn(t, report, gone)

			moved += report.Changes
		}) {
			break
		}
	}

	p.t = t

	if moved == 0 && !t.Failed() {
		t.Error("no conversation had to change its revision: nothing was tested")
	}
}

// A plan that may go on by itself aborts a bad prompt, and promotes a good one.
func TestAutomaticRollouts(t *testing.T) {
	underLoad(t)

	p := startPlatform(t)
	stable := p.rollout("triage").GetStable()
	automatic := func(pause time.Duration) *rolloutv1.Plan {
		return &rolloutv1.Plan{Steps: []int32{50, 100}, Pause: durationpb.New(pause), Automatic: true}
	}

	var bad, good string

	report := p.whileTalking(20, func(context.Context, *loadtest.Load) {
		bad = p.startCanary("triage", "\n@sim fail=0.3", automatic(time.Hour))
		found := p.awaitRollout("triage", "aborted by itself", settled(rolloutv1.Phase_PHASE_FAILED, stable))
		t.Logf("aborted: %s", found.GetReason())

		good = p.startCanary("triage", "\nBe kind.", automatic(time.Second))
		found = p.awaitRollout("triage", "promoted by itself", settled(rolloutv1.Phase_PHASE_SUCCEEDED, good))
		t.Logf("promoted: %s", found.GetReason())
	})

	if failed := report.Revision("triage", bad).FailedBy; len(failed) != 1 || failed[loadtest.ProviderError] == 0 {
		t.Errorf("the bad revision failed by %v, want only the provider's errors", failed)
	}
}

// A turn in flight when its revision is aborted ends on it, or with a fence on the stable one; the next is on stable.
func TestTurnInFlightAtAnAbort(t *testing.T) {
	p := startPlatform(t, raced(t))
	stable := p.rollout("scheduling").GetStable()
	candidate := p.startCanary("scheduling", "\n@sim ttft=1500ms", manual(50))

	for _, fence := range []bool{false, true} {
		p.awaitRollout("scheduling", "at 50%", carries(candidate, 50))
		p.steer("scheduling", "setWeight", &rolloutv1.SetWeightRequest{Weight: 100})
		p.awaitRollout("scheduling", "at 100%", carries(candidate, 100))

		conversation := p.newConversation()
		answered := make(chan int, 1)

		go func() {
			status, _ := p.call(http.MethodPost, "/v1/conversations/"+conversation+"/messages", map[string]any{"text": listSlots})
			answered <- status
		}()

		eventually(t, "the candidate is at it", func() bool {
			return len(p.revisionsOf(conversation, "scheduling")) > 0
		})
		p.steer("scheduling", "abort", &rolloutv1.AbortRolloutRequest{Fence: fence})

		if status := <-answered; status != http.StatusOK {
			t.Errorf("fence %v: the turn was answered with %d", fence, status)
		}

		want := candidate
		if fence {
			want = stable
		}

		if got := p.lastRevision(conversation, "scheduling"); got != want {
			t.Errorf("fence %v: the turn ended on %s, want %s\n%s", fence, got, want, transcript(p.events(conversation)))
		}

		p.send(conversation, listSlots)

		if got := p.lastRevision(conversation, "scheduling"); got != stable {
			t.Errorf("fence %v: the next turn ended on %s, want %s\n%s", fence, got, stable, transcript(p.events(conversation)))
		}

		p.awaitRollout("scheduling", "aborted", settled(rolloutv1.Phase_PHASE_FAILED, stable))
		p.steer("scheduling", "retry", nil)
	}
}

// The share of conversations that meet the candidate is the one that was asked for, and each keeps what it met. See also
// [BenchmarkShare].
func TestShareOfNewConversations(t *testing.T) {
	testShare(t, 200)
}

// testShare has conversations of five turns, which pass through all agents, begin while two agents have a candidate.
func testShare(tb testing.TB, conversations int) *loadtest.Report {
	tb.Helper()
	underLoad(tb)

	p := startPlatform(tb)
	candidates := map[string]string{}

	for _, agent := range []string{"triage", "billing"} {
		candidates[agent] = p.startCanary(agent, "\nBe brief.", manual(10))
		p.awaitRollout(agent, "at 10%", carries(candidates[agent], 10))
	}

	report, err := loadtest.Run(tb.Context(), loadtest.Config{
		URL: p.url, Audit: true, MaxOpen: 16, TurnTimeout: time.Hour, Scenario: loadtest.Scenario{
			Name: "share", Stages: loadtest.Steady(10_000, 0).Stages, Conversations: conversations, Turns: 5,
		},
	})
	if err != nil {
		tb.Fatal(err)
	}

	p.unharmed(report)

	for agent, candidate := range candidates {
		share := report.Share(agent, candidate, 10, time.Time{}, time.Time{})
		if tb.Log(share); !share.Inside || share.Conversations == 0 {
			tb.Errorf("the share is not what chance allows: %v", share)
		}
	}

	if report.Conversations.Started != conversations || report.Changes > 0 {
		tb.Errorf("%d conversations began, want %d; %d changes of revision", report.Conversations.Started, conversations, report.Changes)
	}

	return report
}
