package e2e_test

import (
	"context"
	"testing"
	"time"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/loadtest"
)

// whileTalking runs do while conversations of five turns, which pass through all agents, go on; then none of them may
// have failed, seen two revisions of an agent without the log saying so, or lost or doubled an event. Every process has
// taken all that istiod told it.
func (p *platform) whileTalking(rate float64, do func(ctx context.Context, load *loadtest.Load)) *loadtest.Report {
	p.Helper()

	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()

	scenario := loadtest.Steady(rate, 0)
	scenario.Think = 500 * time.Millisecond // so that there are conversations which have met a revision and go on later

	load, err := loadtest.Start(ctx, loadtest.Config{
		URL: p.gateway.URL, Token: p.gateway.Token, Scenario: scenario, Audit: true, MaxOpen: 48, TurnTimeout: 2 * patience,
	})
	p.must(err)

	defer load.Hangup()

	more(ctx, p.T, load, 10)
	do(ctx, load)
	load.Stop() // everyone who is there goes on to the end

	report, err := load.Wait()
	p.must(err)
	p.unharmed(report)
	p.inTheMesh()

	return report
}

func (p *platform) unharmed(report *loadtest.Report) {
	p.Helper()

	failed := report.Turns.FailedExcept(loadtest.ProviderError)
	if failed+report.Flips+report.Lost+report.Doubled+report.Conversations.Refused > 0 {
		p.Errorf("%d failed turns, %d flips, %d lost and %d doubled events, %d refused: %v\n%v", failed, report.Flips,
			report.Lost, report.Doubled, report.Conversations.Refused, report.Turns.FailedBy, report.Violations)
	}

	p.Logf("%d conversations, %d turns, %d changes of revision, p50 %s, p99 %s", report.Conversations.Started,
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

// carries is a rollout whose candidate has a weight, in the mesh as well.
func carries(candidate string, weight int32) func(*rolloutv1.Rollout) bool {
	return func(found *rolloutv1.Rollout) bool {
		return found.GetCandidate() == candidate && found.GetWeight() == weight && found.GetAppliedWeight() == weight &&
			found.GetGoal() == 0 &&
			(found.GetPhase() == rolloutv1.Phase_PHASE_PROGRESSING || found.GetPhase() == rolloutv1.Phase_PHASE_PAUSED)
	}
}

// settled is a rollout that ended, with the stable revision.
func settled(phase rolloutv1.Phase, stable string) func(*rolloutv1.Rollout) bool {
	return func(found *rolloutv1.Rollout) bool { return found.GetPhase() == phase && found.GetStable() == stable }
}
