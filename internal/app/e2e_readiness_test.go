package app_test

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/app"
	"github.com/serinhq/serin/loadtest"
)

// A revision that asks for a tool which nobody has is not ready, and harms nobody else: neither when the tools' process
// dies nor when everything starts anew.
func TestRevisionThatLacksAToolHarmsNobody(t *testing.T) {
	dir := ownFolder(t)
	p := startPlatform(t, func(config *app.PlatformConfig) { config.Agents = dir })

	edit(t, dir, "billing.yaml", "  tools:", "  tools:\n    - name: billing_nonexistent")
	candidate := p.awaitRollout("billing", "without the tool", func(found *rolloutv1.Rollout) bool {
		return found.GetPhase() == rolloutv1.Phase_PHASE_PREPARING &&
			strings.Contains(strings.Join(found.GetProblems(), " "), "billing_nonexistent")
	}).GetCandidate()

	works := func(when string) {
		conversation := p.newConversation()
		if turn := p.send(conversation, listInvoices); !strings.Contains(turn.GetText(), "INV-") {
			t.Errorf("%s: %v", when, turn)
		}

		if got := p.revisionsOf(conversation, "billing"); slices.Contains(got, candidate) {
			t.Errorf("%s: the conversation met %v", when, got)
		}
	}

	p.kill("serin-tools")
	works("after the tools' process died")

	p.stop()
	p.start()
	works("after a restart")
}

// A candidate whose process hangs, which no exit tells of, is aborted long before anyone would restart it.
func TestCandidateThatHangsIsAborted(t *testing.T) {
	underLoad(t)

	p := startPlatform(t)
	stable := p.rollout("billing").GetStable()

	report := p.whileTalking(8, func(ctx context.Context, load *loadtest.Load) {
		candidate := p.startCanary("billing", "\nBe brief.", manual(50))
		p.awaitRollout("billing", "at 50%", carries(candidate, 50))
		more(ctx, t, load, 20)

		p.signal("billing-"+candidate, syscall.SIGSTOP)

		found := p.awaitRollout("billing", "aborted", settled(rolloutv1.Phase_PHASE_FAILED, stable))
		if !strings.Contains(found.GetReason(), "ready") {
			t.Errorf("it was aborted because %s", found.GetReason())
		}

		more(ctx, t, load, 10)
	})

	if report.Changes == 0 {
		t.Error("no conversation had to change its revision: nothing was tested")
	}
}
