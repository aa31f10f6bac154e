package e2e_test

import (
	"context"
	"testing"
	"time"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/loadtest"
)

// TestARolloutIsNotNoticed edits an Agent's prompt while people talk, and steers what becomes of it.
func TestARolloutIsNotNoticed(t *testing.T) {
	p := serin(t)
	first := p.rollout("billing").GetStable()

	report := p.whileTalking(8, func(ctx context.Context, load *loadtest.Load) {
		candidate := p.prompt("billing", "\nBe brief.")
		p.await("billing", "at 5%", carries(candidate, 5))
		p.steer("billing", "setWeight", &rolloutv1.SetWeightRequest{Weight: 50})
		p.await("billing", "at 50%", carries(candidate, 50))
		more(ctx, t, load, 20)
		p.steer("billing", "abort", &rolloutv1.AbortRolloutRequest{Reason: "a test"})
		p.await("billing", "aborted", settled(rolloutv1.Phase_PHASE_FAILED, first))

		gone := time.Now()

		more(ctx, t, load, 20)

		_ = gone
	})
	if report.Changes == 0 {
		t.Error("no conversation had to change its revision: nothing was tested")
	}
}
