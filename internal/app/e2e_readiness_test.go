package app_test

import (
	"slices"
	"strings"
	"testing"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/app"
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
