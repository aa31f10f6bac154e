package loadtest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// burst is a load of so many conversations, as fast as it goes.
func burst(conversations, turns int) Scenario {
	return Scenario{
		Name: "burst", Stages: []Stage{{0, 2000, 2000}}, Conversations: conversations, Turns: turns,
		Dialogues: []Dialogue{{"One", "Two"}},
	}
}

func run(t *testing.T, cfg Config) *Report {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	report, err := Run(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}

	return report
}

func TestRun(t *testing.T) {
	g := newFakeGateway(t)
	seen := atomic.Int64{}
	report := run(t, Config{URL: g.URL, Scenario: burst(40, 3), Audit: true, OnEvent: func(*eventv1.Event) { seen.Add(1) }})

	if !report.Judge(WithBars(DefaultBars(), Bar{"failed", 0}, Bar{"retries", 0}, Bar{"p99", 10_000}, Bar{"first-text", 10_000})...) {
		t.Error(report.Bars, report.Violations)
	}

	if report.Turns.Completed != 120 || report.Conversations.Finished != 40 || report.Latency.Count() != 120 {
		t.Errorf("%+v %+v %s", report.Turns, report.Conversations, report.Latency)
	}

	if seen.Load() != 40*(5+4+4) {
		t.Errorf("%d events", seen.Load())
	}

	a := report.Revision("billing", revisionA)
	if a.Conversations != 40 || a.Joined != 40 || a.Segments != 120 || a.Latency.Count() != 120 || a.TurnLatency.Count() != 120 {
		t.Errorf("%+v", a)
	}

	if joins := report.Joins("billing", revisionA, report.Started, time.Time{}); joins != 40 {
		t.Errorf("%d joins", joins)
	}

	if other := report.Revision("billing", revisionB); other.Segments != 0 || other.Revision != revisionB {
		t.Errorf("%+v", other)
	}
}

// kinds counts violations by kind.
func kinds(report *Report) string {
	words := []string{}
	for _, violation := range report.Violations {
		words = append(words, violation.Kind)
	}

	return strings.Join(words, " ")
}

func TestWhatUsersMustNotSee(t *testing.T) {
	other := func(events []*eventv1.Event, at int) []*eventv1.Event {
		events[at].Revision = revisionB

		return events
	}

	for _, test := range []struct {
		name   string
		mangle func(c *fakeConversation, events []*eventv1.Event) []*eventv1.Event
		want   string
	}{
		{"a flip in the second turn", func(c *fakeConversation, events []*eventv1.Event) []*eventv1.Event {
			if len(c.turns) == 2 {
				return other(other(other(events, 1), 2), 3)
			}

			return events
		}, kindFlip},
		{"a flip there and back", func(_ *fakeConversation, events []*eventv1.Event) []*eventv1.Event {
			if len(events) == 5 {
				return other(events, 3)
			}

			return events
		}, kindFlip + " " + kindFlip},
		{"a call that changes hands", func(_ *fakeConversation, events []*eventv1.Event) []*eventv1.Event {
			if len(events) == 5 {
				events[3].GetAgentMessage().ToolCalls = []*eventv1.ToolCall{{CallId: "x"}}
				events = slices.Insert(events, 4, by("t1", revisionB, toolResult("x")))
			}

			return events
		}, kindFlip},
		{"the same result twice", func(_ *fakeConversation, events []*eventv1.Event) []*eventv1.Event {
			return append(events[:1:1], append([]*eventv1.Event{toolResult("x"), toolResult("x")}, events[1:]...)...)
		}, kindDoubled + " " + kindDoubled},
		{"an agent that joins again", func(c *fakeConversation, events []*eventv1.Event) []*eventv1.Event {
			if len(c.turns) == 2 {
				joined := &eventv1.AgentJoined{Agent: "billing", Revision: c.pin}
				again := by("t2", c.pin, &eventv1.Event{Kind: &eventv1.Event_AgentJoined{AgentJoined: joined}})
				events = slices.Insert(events, 1, again)
			}

			return events
		}, kindDoubled},
		{"a call without a result", func(c *fakeConversation, events []*eventv1.Event) []*eventv1.Event {
			if len(c.turns) == 1 {
				events[3].GetAgentMessage().ToolCalls = []*eventv1.ToolCall{{CallId: "x"}, {CallId: "y"}}
				events = append(events[:4:4], by("t1", c.pin, toolResult("y")), events[4])
			}

			return events
		}, kindLost},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newFakeGateway(t)
			g.mangle = test.mangle
			report := run(t, Config{URL: g.URL, Scenario: burst(1, 2), Audit: true})

			if kinds(report) != test.want || report.Judge(DefaultBars()...) {
				t.Errorf("%s: %v", kinds(report), report.Violations)
			}
		})
	}
}

// A call that was made before its revision was withdrawn is carried out under the next one, and stays its maker's.
func TestACallOutlivesItsPin(t *testing.T) {
	g := newFakeGateway(t)
	g.mangle = func(c *fakeConversation, events []*eventv1.Event) []*eventv1.Event {
		if len(c.turns) != 1 {
			return events
		}

		events[3].GetAgentMessage().ToolCalls = []*eventv1.ToolCall{{CallId: "x"}}
		made := events[3].GetRevision()
		c.pin = revisionB
		events[4].Revision = revisionB

		return slices.Insert(events, 4,
			by("t1", revisionB, &eventv1.Event{Kind: &eventv1.Event_RevisionChanged{RevisionChanged: &eventv1.RevisionChanged{
				Agent: "billing", FromRevision: made, ToRevision: revisionB,
			}}}),
			by("t1", made, &eventv1.Event{Kind: &eventv1.Event_ToolStarted{ToolStarted: &eventv1.ToolStarted{CallId: "x"}}}),
			by("t1", made, toolResult("x")))
	}

	report := run(t, Config{URL: g.URL, Scenario: burst(1, 2), Audit: true})
	if report.Flips != 0 || report.Changes != 1 {
		t.Errorf("%d flips, %d changes: %v", report.Flips, report.Changes, report.Violations)
	}
}

func toolResult(call string) *eventv1.Event {
	return &eventv1.Event{TurnId: "t1", Kind: &eventv1.Event_ToolResult{ToolResult: &eventv1.ToolResult{CallId: call}}}
}

// The stream leaves events out: those of the turn are lost, others are not.
func TestGaps(t *testing.T) {
	g := newFakeGateway(t)
	g.mangle = func(c *fakeConversation, events []*eventv1.Event) []*eventv1.Event {
		if len(c.turns) == 2 { // feedback, between the turns
			feedback := &eventv1.Event{TurnId: "t0", Kind: &eventv1.Event_FeedbackGiven{FeedbackGiven: &eventv1.FeedbackGiven{}}}
			c.append(feedback)
			c.turns["turn-1"]++
		}

		return events
	}

	report := run(t, Config{URL: g.URL, Scenario: burst(1, 3), Audit: true})
	if !report.Judge(DefaultBars()...) {
		t.Error(report.Violations)
	}

	g.mangle = func(c *fakeConversation, events []*eventv1.Event) []*eventv1.Event {
		c.turns["turn-0"]++ // the first event of the turn is not streamed

		return events
	}

	report = run(t, Config{URL: g.URL, Scenario: burst(1, 1), Audit: true})
	if report.Lost != 1 {
		t.Error(report.Violations)
	}
}

// Everything after the end of the last stream is found by the audit.
func TestAuditFindsWhatWasNotStreamed(t *testing.T) {
	g := newFakeGateway(t)
	g.mangle = func(_ *fakeConversation, events []*eventv1.Event) []*eventv1.Event {
		return append(events, toolResult("late"))
	}

	report := run(t, Config{URL: g.URL, Scenario: burst(1, 1), Audit: true})
	if report.Lost != 1 {
		t.Error(report.Violations)
	}
}

// What is stored is what was shown.
func TestAuditFindsWhatWasChanged(t *testing.T) {
	g := newFakeGateway(t)
	g.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/events") {
			g.mu.Lock()
			g.conversations[0].log[1].GetTurnAccepted().Text = "something else"
			g.mu.Unlock()
		}

		return false
	}

	report := run(t, Config{URL: g.URL, Scenario: burst(1, 1), Audit: true})
	if report.Lost != 1 {
		t.Error(report.Violations)
	}
}

func TestStreamsThatAreCutGoOn(t *testing.T) {
	g := newFakeGateway(t)
	g.cut = func(*fakeConversation, int64) int { return 2 }
	report := run(t, Config{URL: g.URL, Scenario: burst(5, 2), Audit: true})

	// A turn of 5 or 4 events takes 3 or 2 streams, and one of 4 ends with its second.
	if !report.Judge(DefaultBars()...) || report.Turns.Retries != 5*(2+1) || report.Turns.Completed != 10 {
		t.Errorf("%+v %v", report.Turns, report.Violations)
	}
}

func TestUnavailableIsTriedAgain(t *testing.T) {
	g := newFakeGateway(t)
	requests := atomic.Int64{}
	g.before = func(w http.ResponseWriter, _ *http.Request) bool {
		if requests.Add(1)%2 == 1 {
			refuse(w, http.StatusServiceUnavailable, "UNAVAILABLE", "NO_AGENT")

			return true
		}

		return false
	}

	report := run(t, Config{URL: g.URL, Scenario: burst(1, 2)})
	if !report.Judge(DefaultBars()...) || report.Turns.Retries != 2 {
		t.Errorf("%+v %v", report.Turns, report.Violations)
	}
}

func TestTurnsThatFail(t *testing.T) {
	fails := func(_ *fakeConversation, events []*eventv1.Event) []*eventv1.Event {
		events[len(events)-1].Kind = &eventv1.Event_TurnFailed{TurnFailed: &eventv1.TurnFailed{Reason: ProviderError}}

		return events
	}

	g := newFakeGateway(t)
	g.mangle = fails
	report := run(t, Config{URL: g.URL, Scenario: burst(2, 2)})

	if report.Turns.FailedBy[ProviderError] != 4 || report.Turns.FailedExcept(ProviderError) != 0 || !report.Judge(DefaultBars()...) ||
		report.Revision("billing", revisionA).FailedBy[ProviderError] != 4 || report.Judge(Bar{"failed", 3}) || !report.Judge(Bar{"failed." + ProviderError, 4}) {
		t.Errorf("%+v", report.Turns)
	}

	g.before = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/messages") {
			refuse(w, http.StatusConflict, "FAILED_PRECONDITION", "TURN_IN_PROGRESS")

			return true
		}

		return false
	}

	report = run(t, Config{URL: g.URL, Scenario: burst(2, 2)})
	if report.Turns.FailedBy["TURN_IN_PROGRESS"] != 2 || report.Turns.Sent != 2 || report.Conversations.Refused != 2 {
		t.Errorf("%+v %+v", report.Turns, report.Conversations)
	}

	g.before = func(w http.ResponseWriter, _ *http.Request) bool {
		refuse(w, http.StatusUnauthorized, "UNAUTHENTICATED", "NO_TOKEN")

		return true
	}

	report = run(t, Config{URL: g.URL, Scenario: burst(2, 2)})
	if report.Turns.Sent != 0 || report.Conversations.Refused != 2 || report.Judge(DefaultBars()...) {
		t.Errorf("%+v %+v", report.Turns, report.Conversations)
	}
}

func TestTurnsThatDoNotEnd(t *testing.T) {
	g := newFakeGateway(t)
	g.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/messages") {
			return false
		}

		hang(r)

		return true
	}

	report := run(t, Config{URL: g.URL, Scenario: burst(1, 2), TurnTimeout: 100 * time.Millisecond})
	if report.Turns.FailedBy[reasonTimeout] != 1 || report.Turns.Sent != 1 {
		t.Errorf("%+v", report.Turns)
	}
}

func TestQuestionsAreAnswered(t *testing.T) {
	g := newFakeGateway(t)
	g.mangle = func(c *fakeConversation, events []*eventv1.Event) []*eventv1.Event {
		turn := events[0].GetTurnId()
		last := len(events) - 1

		return append(events[:last:last],
			by(turn, c.pin, &eventv1.Event{Kind: &eventv1.Event_InputRequested{InputRequested: &eventv1.InputRequested{
				CallId: turn + "-1", Kind: eventv1.InputRequested_KIND_APPROVAL,
			}}}),
			by(turn, c.pin, &eventv1.Event{Kind: &eventv1.Event_TurnWaiting{TurnWaiting: &eventv1.TurnWaiting{CallIds: []string{turn + "-1"}}}}),
			by(turn, c.pin, &eventv1.Event{Kind: &eventv1.Event_SegmentResumed{SegmentResumed: &eventv1.SegmentResumed{Agent: "billing"}}}),
			events[last])
	}

	var answers atomic.Int64

	g.before = func(w http.ResponseWriter, r *http.Request) bool { // each second answer does not arrive at first
		if strings.Contains(r.URL.Path, "/approvals/") && answers.Add(1)%2 == 1 {
			refuse(w, http.StatusServiceUnavailable, "UNAVAILABLE", "STORE_UNAVAILABLE")

			return true
		}

		return false
	}

	report := run(t, Config{URL: g.URL, Scenario: burst(3, 2), Audit: true})
	if !report.Judge(DefaultBars()...) || report.Turns.Approvals != 6 || report.Turns.Completed != 6 ||
		report.Revision("billing", revisionA).Segments != 12 {
		t.Errorf("%+v %v", report.Turns, report.Violations)
	}
}

// A platform that stands still can not hide the users who wait.
func TestLatencyCountsFromTheIntendedStart(t *testing.T) {
	g := newFakeGateway(t)
	stalled := time.Now().Add(400 * time.Millisecond)
	g.before = func(http.ResponseWriter, *http.Request) bool {
		time.Sleep(time.Until(stalled)) // what stalls is what is tested

		return false
	}

	report := run(t, Config{
		URL: g.URL, MaxOpen: 1,
		Scenario: Scenario{Stages: []Stage{{200 * time.Millisecond, 50, 50}}, Arrivals: Uniform, Turns: 1, Dialogues: []Dialogue{{"One"}}},
	})

	if report.Turns.Completed != 10 || report.Latency.Quantile(.1) < 180*time.Millisecond || report.Lateness.Max() < 150*time.Millisecond {
		t.Errorf("%s; late %s", report.Latency, report.Lateness)
	}
}

func TestStopAndHangup(t *testing.T) {
	g := newFakeGateway(t)
	scenario := burst(0, 3)
	scenario.Stages = []Stage{{0, 100, 100}}

	load, err := Start(t.Context(), Config{URL: g.URL, Scenario: scenario})
	if err != nil {
		t.Fatal(err)
	}

	if err := load.Until(t.Context(), func(counts Counts) bool { return counts.Turns >= 10 }); err != nil {
		t.Fatal(err)
	}

	load.Mark("stop")
	load.Stop()

	report, err := load.Wait()
	if err != nil || report.Conversations.Finished != report.Conversations.Started || len(report.Marks) != 1 {
		t.Errorf("%v %+v", err, report.Conversations)
	}

	scenario.Think = time.Hour

	if load, err = Start(t.Context(), Config{URL: g.URL, Scenario: scenario}); err != nil {
		t.Fatal(err)
	}

	if err := load.Until(t.Context(), func(counts Counts) bool { return counts.Turns >= 5 }); err != nil {
		t.Fatal(err)
	}

	load.Hangup()

	report, err = load.Wait()
	if err != nil || report.Conversations.Abandoned != report.Conversations.Started || report.Turns.Failed != 0 {
		t.Errorf("%v %+v", err, report.Conversations)
	}

	if err := load.Until(t.Context(), func(Counts) bool { return false }); err == nil {
		t.Error("the load ended, and someone still waits for it")
	}
}

func TestContextEnds(t *testing.T) {
	g := newFakeGateway(t)
	ctx, cancel := context.WithCancel(t.Context())
	g.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/messages") {
			cancel()
			hang(r)

			return true
		}

		return false
	}

	report, err := Run(ctx, Config{URL: g.URL, Scenario: burst(1, 2)})
	if !errors.Is(err, context.Canceled) || report.Turns.Abandoned != 1 || report.Conversations.Abandoned != 1 || report.Turns.Failed != 0 {
		t.Errorf("%v %+v", err, report.Turns)
	}
}

func TestScriptsError(t *testing.T) {
	g := newFakeGateway(t)
	broken := errors.New("broken")
	scenario := burst(0, 1)
	scenario.Stages = []Stage{{0, 100, 100}}

	_, err := Run(t.Context(), Config{URL: g.URL, Scenario: scenario, Script: func(context.Context, *Load) error { return broken }})
	if !errors.Is(err, broken) {
		t.Error(err)
	}

	_, err = Run(t.Context(), Config{URL: g.URL, Scenario: burst(1, 1), Script: func(ctx context.Context, load *Load) error {
		return load.Until(ctx, func(counts Counts) bool { return counts.Started > 1 })
	}})
	if err == nil {
		t.Error("the script waits for more than there is, and nobody says so")
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{
		{},
		{URL: "ftp://x"},
		{URL: "http://x", Scenario: Steady(-1, time.Second)},
		{URL: "http://x", Scenario: Ramp(1, 2, 0)},
		{URL: "http://x", Scenario: Scenario{Turns: -1}},
		{URL: "http://x", Scenario: Scenario{Arrivals: "sometimes"}},
		{URL: "http://x", Scenario: Scenario{Think: -1}},
		{URL: "http://x", Scenario: Scenario{Dialogues: []Dialogue{{}}}},
	} {
		if _, err := Run(t.Context(), cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}
