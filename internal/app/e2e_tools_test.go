package app_test

import (
	"context"
	"slices"
	"syscall"
	"testing"
	"time"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/app"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/supervise"
	"github.com/serinhq/serin/loadtest"
)

// The tools process dies around each of its calls of the store while a refund runs. Nobody notices, but for whoever is
// asked whether a refund took effect that nobody was told of.
func TestRefundSurvivesKillOfTools(t *testing.T) {
	p := startPlatform(t, raced(t))

	for _, test := range []struct {
		point string
		asks  bool
	}{
		{"ClaimCall before 1", false},
		{"ClaimCall after 1", true},
		{"CompleteCall before 1", true},
		{"CompleteCall after 1", false},
	} {
		t.Run(test.point, func(t *testing.T) {
			p.forgetRefunds()

			conversation, call := pendingRefund(t, p)
			p.crashAt(rpc.Tools + " " + test.point)
			p.resolve(conversation, call, "approve")

			if asked := p.answerTruly(conversation, call); asked != test.asks {
				t.Errorf("somebody was asked: %v", asked)
			}

			if !p.crashed() {
				t.Error("tools did not die")
			}

			events := p.events(conversation)
			checkLog(t, events)

			if end := events[len(events)-1]; end.GetTurnCompleted() == nil {
				t.Errorf("the turn ended with %v", end)
			}

			if refunds := p.refunds(); test.point != "ClaimCall after 1" && !slices.Equal(refunds, []string{call}) || len(refunds) > 1 {
				t.Errorf("refunds %v, want at most %s", refunds, call)
			}
		})
	}
}

// answerTruly waits for the end of the turn. If it asks whether the call took effect, it is told, and at once.
func (p *testPlatform) answerTruly(conversation, call string) (asked bool) {
	p.t.Helper()

	last := p.waitFor(conversation, "question or end", func(event *eventv1.Event) bool {
		return isEnd(event) || slices.Contains(event.GetTurnWaiting().GetCallIds(), call) && p.asksForOutcome(conversation)
	})
	if isEnd(last) {
		return false
	}

	decision := "did_not_happen"
	if len(p.refunds()) > 0 {
		decision = "happened"
	}

	p.resolve(conversation, call, decision)
	p.waitFor(conversation, "end of the turn", isEnd)

	return true
}

func (p *testPlatform) asksForOutcome(conversation string) bool {
	return slices.ContainsFunc(p.events(conversation), func(event *eventv1.Event) bool {
		return event.GetInputRequested().GetKind() == eventv1.InputRequested_KIND_OUTCOME
	})
}

// The tools process is killed and stopped again and again while users talk. No turn fails because of that.
func TestToolsComeAndGo(t *testing.T) {
	underLoad(t)

	p := startPlatform(t, func(config *app.PlatformConfig) { config.DemoDelay = "300ms" })

	p.whileTalking(8, func(ctx context.Context, load *loadtest.Load) {
		for range 2 {
			for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
				more(ctx, t, load, 5)
				p.replace(rpc.Tools, signal)
			}
		}
	})
}

// replace sends a workload's process a signal that ends it, and waits until the next one is ready.
func (p *testPlatform) replace(name string, signal syscall.Signal) {
	p.t.Helper()

	before := p.process(name)
	if err := syscall.Kill(before, signal); err != nil {
		p.t.Fatal(err)
	}

	for deadline := time.Now().Add(patience); p.process(name) == before; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s does not end", name)
		}
	}
}

// process waits until a workload has one that is ready, and returns its id.
func (p *testPlatform) process(name string) int {
	p.t.Helper()

	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, status := range p.platform.Statuses() {
			if isProcess(status.Name, name) && status.State == supervise.Ready && status.PID != 0 {
				return status.PID
			}
		}
	}

	p.t.Fatalf("%s is not ready", name)

	return 0
}
