package loadtest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
)

func canary(t *testing.T, g *fakeGateway, c Canary) *Report {
	t.Helper()

	c.Agent, c.Settle = "billing", 50*time.Millisecond
	scenario := burst(0, 2)
	scenario.Stages = []Stage{{0, 200, 200}}
	scenario.Think = 100 * time.Millisecond

	// Few at a time: on a busy machine more would keep the script from being heard.
	report := run(t, Config{URL: g.URL, Scenario: scenario, Audit: true, MaxOpen: 16, Script: c.Script()})
	report.Judge(WithBars(DefaultBars(), Bar{"share", 0})...) // how fast it was says nothing here

	return report
}

func (g *fakeGateway) verbs() []string {
	g.mu.Lock()
	defer g.mu.Unlock()

	verbs := []string{}
	for _, action := range g.actions {
		verbs = append(verbs, strings.Fields(action)[0])
	}

	return verbs
}

func TestCanaryIsAborted(t *testing.T) {
	g := newFakeGateway(t)
	report := canary(t, g, Canary{Weight: 30, Conversations: 60, Repeats: 2})

	if want := []string{"start", "abort", "retry", "abort", "retry", "abort"}; !slices.Equal(g.verbs(), want) {
		t.Error(g.actions)
	}

	if len(report.Shares) != 3 || len(report.Aborts) != 3 || report.AbortLatency().Count() != 3 || report.Changes == 0 {
		t.Errorf("%v %v, %d changes", report.Shares, report.Aborts, report.Changes)
	}

	for _, bar := range report.Bars {
		if !bar.Met {
			t.Errorf("%s: %v %v %v", bar, report.Violations, report.Shares, report.Aborts)
		}
	}

	b := report.Revision("billing", revisionB)
	if b.Joined == 0 || b.Segments == 0 || report.Revision("billing", revisionA).Moved == 0 {
		t.Errorf("%+v", b)
	}
}

func TestCanaryIsPromotedAndUndone(t *testing.T) {
	g := newFakeGateway(t)
	report := canary(t, g, Canary{Conversations: 20, End: EndUndo})

	if want := []string{"start", "promote", "undo"}; !slices.Equal(g.verbs(), want) {
		t.Error(g.actions)
	}

	if len(report.Aborts) != 1 || len(report.Marks) != 5 {
		t.Errorf("%v %v", report.Aborts, report.Marks)
	}
}

func TestCanaryThatEndsByItself(t *testing.T) {
	g := newFakeGateway(t)
	g.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, ":start") {
			g.mu.Lock()
			g.rollout.Reason = "too bad"
			g.mu.Unlock()
		}

		if r.URL.Path == "/v1/rollouts/billing" {
			g.mu.Lock()
			g.rollout.Candidate, g.rollout.Phase = revisionB, rolloutv1.Phase_PHASE_FAILED
			g.mu.Unlock()
		}

		return false
	}

	scenario := burst(0, 1)
	scenario.Stages = []Stage{{0, 20, 20}}

	_, err := Run(t.Context(), Config{URL: g.URL, Scenario: scenario, Script: Canary{Agent: "billing"}.Script()})
	if err == nil || !strings.Contains(err.Error(), "too bad") {
		t.Error(err)
	}

	_, err = Run(t.Context(), Config{URL: g.URL, Scenario: scenario, Script: Canary{Agent: "unknown"}.Script()})
	if err == nil {
		t.Error("there is no such agent, and nobody says so")
	}
}

// A candidate must not stay behind when nobody looks at it any more.
func TestCanaryThatIsCutShortIsAborted(t *testing.T) {
	g := newFakeGateway(t)
	scenario := burst(0, 1)
	scenario.Stages = []Stage{{0, 20, 20}}

	ctx, cancel := context.WithCancelCause(t.Context())
	g.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if g.mu.Lock(); g.rollout.GetCandidate() != "" && strings.HasSuffix(r.URL.Path, "/messages") {
			cancel(errors.New("Ctrl-C"))
		}
		g.mu.Unlock()

		return false
	}

	_, err := Run(ctx, Config{URL: g.URL, Scenario: scenario, Script: Canary{Agent: "billing"}.Script()})
	if err != nil && !strings.Contains(err.Error(), "Ctrl-C") {
		t.Error(err)
	}

	if want := []string{"start", "abort"}; !slices.Equal(g.verbs(), want) {
		t.Error(g.actions)
	}
}

func TestAwaitRolloutSaysWhatItWaitsFor(t *testing.T) {
	g := newFakeGateway(t)
	g.rollout.WaitingFor = "Godot"

	client, err := NewClient(g.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()

	_, err = client.AwaitRollout(ctx, "billing", "the end", never)
	if err == nil || !strings.Contains(err.Error(), `the end of agent billing did not come: it is in phase PHASE_IDLE at 0%, waiting for "Godot"`) {
		t.Error(err)
	}
}

func never(*rolloutv1.Rollout) (bool, error) { return false, nil }
