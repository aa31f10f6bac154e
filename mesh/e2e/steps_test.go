package e2e_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/loadtest"
)

// talking is how many conversations begin per second while something is done to a rollout.
const talking = 5

// TestNoStepIsNoticed has a person take billing through everything that can become of a candidate, each while people
// talk: no turn fails, no conversation flips, and nobody refuses what istiod says.
func TestNoStepIsNoticed(t *testing.T) {
	p := serin(t)
	p.restored("billing")

	s := &story{first: p.rollout("billing").GetStable()}
	moved := 0

	for _, step := range []struct {
		name string
		do   func(*platform, context.Context, *loadtest.Load)
	}{
		{"start and step up", s.start},
		{"supersede", s.supersede},
		{"abort", s.abort},
		{"retry and abort with a fence", s.fence},
		{"promote", s.promote},
		{"undo", s.undo},
	} {
		if !t.Run(step.name, func(t *testing.T) { moved += s.tell(t, step.name, step.do) }) {
			return
		}
	}

	if moved == 0 {
		t.Error("no conversation had to change its revision: nothing was tested")
	}
}

// story is what has become of billing.
type story struct {
	first, candidate string
	// gone was withdrawn at a time; empty if nothing was.
	gone   string
	goneAt time.Time
}

// tell does one thing while people talk, and returns how many conversations had to change their revision.
func (s *story) tell(t *testing.T, name string, do func(*platform, context.Context, *loadtest.Load)) int {
	t.Helper()

	s.gone = ""
	p := serin(t)
	report := p.whileTalking(talking, func(ctx context.Context, load *loadtest.Load) { do(p, ctx, load) })

	p.explained(report)

	if s.gone != "" {
		if late := report.Starts("billing", s.gone, s.goneAt, time.Time{}); late > 0 {
			t.Errorf("%d segments began on %s after it was withdrawn", late, s.gone)
		}
	}

	figures.add(name, "failed turns / all, flips, moved", strconv.Itoa(report.Turns.FailedExcept(loadtest.ProviderError))+" / "+
		strconv.Itoa(report.Turns.Sent)+", "+strconv.Itoa(report.Flips)+", "+strconv.Itoa(report.Changes))

	return report.Changes
}

func (s *story) start(p *platform, ctx context.Context, load *loadtest.Load) {
	s.candidate = p.rollOut("billing", "\nBe brief: "+p.Name(), 10, 50, 100)
	p.await("billing", "at 10%", carries(s.candidate, 10))
	more(ctx, p.T, load, 20)
	p.steer("billing", "promote", &rolloutv1.PromoteRolloutRequest{})
	p.await("billing", "at 50%", carries(s.candidate, 50))
	more(ctx, p.T, load, 20)
}

func (s *story) supersede(p *platform, ctx context.Context, load *loadtest.Load) {
	before := s.candidate
	s.candidate = p.rollOut("billing", "\nBe very brief.", 30, 60, 100)
	p.await("billing", "at 30%", carries(s.candidate, 30))
	s.gone, s.goneAt = before, time.Now()

	more(ctx, p.T, load, 20)
}

func (s *story) abort(p *platform, ctx context.Context, load *loadtest.Load) {
	p.steer("billing", "abort", &rolloutv1.AbortRolloutRequest{Reason: "a test"})
	s.settled(p, rolloutv1.Phase_PHASE_FAILED, s.first)
	s.gone, s.goneAt = s.candidate, time.Now()

	more(ctx, p.T, load, 10)
}

func (s *story) fence(p *platform, ctx context.Context, load *loadtest.Load) {
	s.retry(p)
	p.steer("billing", "setWeight", &rolloutv1.SetWeightRequest{Weight: 80})
	p.await("billing", "at 80%", carries(s.candidate, 80))
	more(ctx, p.T, load, 20)
	p.steer("billing", "abort", &rolloutv1.AbortRolloutRequest{Fence: true})
	s.settled(p, rolloutv1.Phase_PHASE_FAILED, s.first)
	s.gone, s.goneAt = s.candidate, time.Now()

	more(ctx, p.T, load, 10)
}

func (s *story) promote(p *platform, ctx context.Context, load *loadtest.Load) {
	s.retry(p)
	more(ctx, p.T, load, 10)
	p.steer("billing", "promote", &rolloutv1.PromoteRolloutRequest{Full: true})
	s.settled(p, rolloutv1.Phase_PHASE_SUCCEEDED, s.candidate)
	more(ctx, p.T, load, 10)
}

func (s *story) undo(p *platform, ctx context.Context, load *loadtest.Load) {
	p.steer("billing", "undo", &rolloutv1.UndoRolloutRequest{})
	s.settled(p, rolloutv1.Phase_PHASE_FAILED, s.first)
	s.gone, s.goneAt = s.candidate, time.Now()

	more(ctx, p.T, load, 10)
}

func (s *story) retry(p *platform) {
	p.steer("billing", "retry", &rolloutv1.RetryRolloutRequest{})
	p.await("billing", "at 30%", carries(s.candidate, 30))
}

func (s *story) settled(p *platform, phase rolloutv1.Phase, stable string) {
	p.await("billing", "settled", settled(phase, stable))
}
