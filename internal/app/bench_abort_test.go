package app_test

import (
	"context"
	"slices"
	"testing"
	"time"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/loadtest"
)

// BenchmarkAbort is how long users meet a bad revision after someone said abort: from the command, sent over REST, to the
// last segment that begins on the candidate, under a steady load of conversations of which half have met it. New ones
// and those that go on count alike.
func BenchmarkAbort(b *testing.B) {
	const rounds = 100

	p := startPlatform(b)
	stable := p.rollout("triage").GetStable()
	candidate := p.startCanary("triage", "\nBe brief.", manual(50))

	ctx, cancel := context.WithTimeout(b.Context(), 10*patience)
	defer cancel()

	load, err := loadtest.Start(ctx, loadtest.Config{URL: p.url, Scenario: loadtest.Scenario{
		Stages: loadtest.Steady(20, 0).Stages, Turns: 4, Think: 300 * time.Millisecond,
		Dialogues: []loadtest.Dialogue{{"Hello, what can you do?"}},
	}})
	if err != nil {
		b.Fatal(err)
	}
	defer load.Hangup()

	type round struct{ commanded, next time.Time }

	var (
		done     []round
		answered []time.Duration
	)

	for b.Loop() {
		for range rounds {
			p.awaitRollout("triage", "at 50%", carries(candidate, 50))
			more(ctx, b, load, 8)

			commanded := time.Now()
			p.steer("triage", "abort", nil)
			answered = append(answered, time.Since(commanded))

			more(ctx, b, load, 8)
			p.awaitRollout("triage", "aborted", settled(rolloutv1.Phase_PHASE_FAILED, stable))

			done = append(done, round{commanded, time.Now()})
			p.steer("triage", "retry", nil)
		}
	}

	load.Stop()

	report, err := load.Wait()
	if err != nil {
		b.Fatal(err)
	}

	p.unharmed(report)

	last := make([]time.Duration, 0, len(done))
	for _, round := range done {
		last = append(last, report.Abort("triage", candidate, round.commanded, round.next).Last)
	}

	slices.Sort(last)
	b.ReportMetric(milliseconds(median(last)), "ms/last-turn-p50")
	b.ReportMetric(milliseconds(last[(len(last)*99-1)/100]), "ms/last-turn-p99")
	b.ReportMetric(milliseconds(median(answered)), "ms/answer-p50")
	b.ReportMetric(0, "ns/op")
}
