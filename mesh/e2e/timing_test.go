package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/loadtest"
	"github.com/serinhq/serin/mesh/e2e/install"
)

const (
	// rounds is how often everything is timed.
	rounds = 20
	// slowest is what an abort may take on the busiest machine.
	slowest = 10 * time.Second
)

// durations are what the rounds took.
type durations []time.Duration

func (d durations) median() time.Duration { return slices.Sorted(slices.Values(d))[len(d)/2] }

// beside tells the durations, and how many times as long they are as istiod's own.
func (d durations) beside(own durations) string {
	text := fmt.Sprintf("median %s, max %s", d.median().Round(time.Millisecond), slices.Max(d).Round(time.Millisecond))
	if own != nil {
		text += fmt.Sprintf(" (%.2f and %.2f of istiod's own)", float64(d.median())/float64(own.median()),
			float64(slices.Max(d))/float64(slices.Max(own)))
	}

	return text
}

// TestHowFastRolloutsFollow times what people wait for: the end of new turns on a candidate after an abort, and the first
// ones at a new weight. Beside it istiod's own time, from a weight written to the first call of a bare client that sees it.
func TestHowFastRolloutsFollow(t *testing.T) {
	p := serin(t)
	p.restored("triage")

	joined := &joins{}
	load := p.chatter(joined)

	defer load.Hangup()

	own := p.flips() // under the same load
	figures.add("istiod", fmt.Sprintf("bare weight flip to first call, %d times", rounds), own.beside(nil))

	candidate := p.rollOut("triage", "\nBe quick: "+t.Name(), 50, 100)
	p.weights(candidate, joined, own)

	admin := person{p, shared.Kubeconfig}
	byCommand := p.aborts(load, candidate, func() {
		if output, problems, code := admin.serin("canary", "abort", "triage", "-n", install.Namespace); code != 0 {
			t.Errorf("serin canary abort: exit code %d\n%s%s", code, output, problems)
		}
	})
	byREST := p.aborts(load, candidate, func() { p.steer("triage", "abort", &rolloutv1.AbortRolloutRequest{}) })

	load.Stop()

	report, err := load.Wait()
	p.must(err)
	p.unharmed(report)

	for what, done := range map[string][]command{"the command line": byCommand, "REST": byREST} {
		last, answered := durations{}, durations{}
		for _, one := range done {
			last = append(last, report.Abort("triage", candidate, one.sent, one.next).Last)
			answered = append(answered, one.answered.Sub(one.sent))
		}

		figures.add("abort", "by "+what+" to last new turn on the canary", last.beside(own))
		figures.add("abort", "by "+what+" to the answer", answered.beside(nil))

		t.Logf("aborts by %s: last new turns after %v, answers after %v", what, last, answered)

		if worst := slices.Max(last); worst > slowest {
			t.Errorf("turns began on the candidate for %s after an abort by %s", worst, what)
		}
	}
}

// joins are when conversations met a candidate.
type joins struct {
	mu    sync.Mutex
	times map[string][]time.Time
}

func (j *joins) note(event *eventv1.Event) {
	joined := event.GetAgentJoined()
	if joined == nil {
		return
	}

	j.mu.Lock()
	defer j.mu.Unlock()

	if j.times == nil {
		j.times = map[string][]time.Time{}
	}

	j.times[joined.GetRevision()] = append(j.times[joined.GetRevision()], event.GetTime().AsTime())
}

// after returns the first time that a conversation met the revision after another; false if none did yet.
func (j *joins) after(revision string, since time.Time) (first time.Time, found bool) {
	j.mu.Lock()
	defer j.mu.Unlock()

	for _, at := range j.times[revision] {
		if at.After(since) && (!found || at.Before(first)) {
			first, found = at, true
		}
	}

	return first, found
}

// chatter is a steady load on triage alone, whose conversations go on for a while.
func (p *platform) chatter(joined *joins) *loadtest.Load {
	p.Helper()

	load, err := loadtest.Start(context.WithoutCancel(p.Context()), loadtest.Config{
		URL: p.gateway.URL, Token: p.gateway.Token, OnEvent: joined.note, MaxOpen: 64, TurnTimeout: 2 * patience,
		Scenario: loadtest.Scenario{
			Stages: loadtest.Steady(12, 0).Stages, Turns: 3, Think: 300 * time.Millisecond,
			Dialogues: []loadtest.Dialogue{{"Hello, what can you do?"}},
		},
	})
	p.must(err)

	return load
}

// weights moves all new conversations to the candidate and back, and times the first that meets it.
func (p *platform) weights(candidate string, joined *joins, own durations) {
	p.Helper()
	p.await("triage", "at 50%", carries(candidate, 50))
	p.steer("triage", "setWeight", &rolloutv1.SetWeightRequest{Weight: 100})
	p.await("triage", "at 100%, with enough pods", carries(candidate, 100))

	var commanded, calls, first durations

	probe, writes := p.probe(), p.writesOf("triage")

	for range rounds {
		p.steer("triage", "setWeight", &rolloutv1.SetWeightRequest{Weight: 0})
		p.await("triage", "at 0%", carries(candidate, 0))
		p.eventually("no call meets the candidate", func(ctx context.Context) error { return probe.meets(ctx, candidate, false) })

		sent := time.Now()

		p.steer("triage", "setWeight", &rolloutv1.SetWeightRequest{Weight: 100})

		called := probe.until(candidate)
		commanded = append(commanded, called.Sub(sent))

		p.eventually("a conversation meets the candidate", func(context.Context) error {
			at, found := joined.after(candidate, sent)
			if !found {
				return fmt.Errorf("none since %s", sent)
			}

			first = append(first, at.Sub(sent))

			return nil
		})
		p.eventually("the write is known", func(context.Context) error {
			at, err := writes.after(candidate, 100, sent)
			if err == nil {
				calls = append(calls, called.Sub(at))
			}

			return err
		})
		p.await("triage", "at 100%", carries(candidate, 100))
	}

	figures.add("weight", "written to first call at the new weight", calls.beside(own))
	figures.add("weight", "by REST to first call at the new weight", commanded.beside(own))
	figures.add("weight", "by REST to first conversation that meets the candidate, 12/s begin", first.beside(own))
}

// command is one that was given.
type command struct{ sent, answered, next time.Time }

// aborts has the candidate aborted, and tries it again, so many times. Half of the conversations have met it each time.
func (p *platform) aborts(load *loadtest.Load, candidate string, abort func()) []command {
	p.Helper()

	done, stable := make([]command, 0, rounds), p.rollout("triage").GetStable()

	for range rounds {
		p.fair(candidate)
		more(p.Context(), p.T, load, 8)

		one := command{sent: time.Now()}

		abort()

		one.answered = time.Now()

		p.await("triage", "aborted", settled(rolloutv1.Phase_PHASE_FAILED, stable))
		more(p.Context(), p.T, load, 8)

		one.next = time.Now()
		done = append(done, one)
	}

	return done
}

// fair gives the candidate half of the new conversations, whatever became of it before.
func (p *platform) fair(candidate string) {
	p.Helper()

	if now := p.rollout("triage"); now.GetCandidate() == candidate {
		p.steer("triage", "setWeight", &rolloutv1.SetWeightRequest{Weight: 50})
	} else {
		p.steer("triage", "retry", &rolloutv1.RetryRolloutRequest{})
	}

	p.await("triage", "at 50%", carries(candidate, 50))
}
