package app_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/app"
	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/loadtest"
)

const (
	// chaosVariable is how long faults happen, such as 10m; by default less than a minute.
	chaosVariable = "SERIN_TEST_CHAOS"
	// chaosSeedVariable repeats a run.
	chaosSeedVariable = "SERIN_TEST_CHAOS_SEED"
)

// chaosFor is how long faults happen.
func chaosFor(t *testing.T, standard time.Duration) time.Duration {
	t.Helper()

	text := os.Getenv(chaosVariable)
	if text == "" {
		return standard
	}

	lasts, err := time.ParseDuration(text)
	if err != nil || lasts <= 0 {
		t.Fatalf("%s=%q: want a duration such as 10m", chaosVariable, text)
	}

	return lasts
}

// chaosSeed is logged, so that what it did can be done again.
func chaosSeed(t *testing.T) uint64 {
	t.Helper()

	seed := rand.Uint64()

	if text := os.Getenv(chaosSeedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s=%q: want a number", chaosSeedVariable, text)
		}
	}

	t.Logf("%s=%d", chaosSeedVariable, seed)

	return seed
}

// clearReasons are those that a turn may fail with while everything breaks: they say to the user what was away.
var clearReasons = []string{loadtest.ProviderError}

// With two processes of everything, and whatever dies or is cut off: each message that was accepted has one end, logs
// have neither gaps nor doubles, what tools did was done once and is told as it was, and no conversation sees two
// revisions.
func TestChaos(t *testing.T) {
	underLoad(t)

	lasts, seed := chaosFor(t, time.Minute), chaosSeed(t)
	server := testenv.OwnPostgres(t, "max_connections=60", "synchronous_commit=on") // what was acknowledged survives
	database := server.Database(t, "")
	folder, journal := effectsFolder(t)
	p := startPlatform(t, func(config *app.PlatformConfig) {
		config.Agents, config.Postgres, config.Replicas = folder, database, 2
	})
	seen := newWitness(journal)

	ctx, cancel := context.WithTimeout(t.Context(), lasts+2*patience)
	defer cancel()

	scenario := loadtest.Steady(2, 0)
	scenario.Turns, scenario.Think, scenario.Dialogues = 3, 500*time.Millisecond, chaosDialogues()

	load, err := loadtest.Start(ctx, loadtest.Config{
		URL: p.url, Transport: p.doors(), Scenario: scenario, Seed: seed, Audit: true, MaxOpen: 48, TurnTimeout: 3 * patience / 2,
		Decide: seen.decide,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer load.Hangup()

	more(ctx, t, load, 4)

	harm := newChaos(t, p.platform.Statuses, server, database)
	reigning, over := context.WithTimeout(ctx, lasts)
	harm.reign(reigning, seed)
	over()

	t.Logf("%6.2fs quiet", time.Since(harm.began).Seconds())
	load.Stop()

	report, err := load.Wait()
	if err != nil {
		t.Fatal(err)
	}

	seen.check(t, p.settledLogs())
	p.survived(report)
	t.Logf("what happened: %v", harm.counts)
}

// survived wants that nothing was lost, doubled or shown to be of two revisions, and that no turn failed without a word
// about what was away.
func (p *testPlatform) survived(report *loadtest.Report) {
	p.t.Helper()

	if report.Flips+report.Lost+report.Doubled+report.Conversations.Refused+report.Turns.FailedExcept(clearReasons...) > 0 {
		p.t.Errorf("%d flips, %d lost and %d doubled events, %d conversations refused, failed by reason %v:\n%v", report.Flips,
			report.Lost, report.Doubled, report.Conversations.Refused, report.Turns.FailedBy, report.Violations)
	}

	p.t.Logf("%d conversations, %d turns: %d completed, %d failed %v; %d requests repeated, %d questions answered, p50 %s, p99 %s",
		report.Conversations.Started, report.Turns.Sent, report.Turns.Completed, report.Turns.Failed, report.Turns.FailedBy,
		report.Turns.Retries, report.Turns.Approvals, report.Latency.Quantile(0.5), report.Latency.Quantile(0.99))
}

// settledLogs are the logs of all conversations, once no turn runs any more: those that nobody heard the end of end, too.
func (p *testPlatform) settledLogs() [][]*eventv1.Event {
	p.t.Helper()

	logs, token := [][]*eventv1.Event{}, ""

	for {
		status, body := p.call(http.MethodGet, "/v1/conversations?page_size=100&page_token="+url.QueryEscape(token), nil)

		var page conversationv1.ListConversationsResponse
		if err := protojson.Unmarshal(body, &page); status != http.StatusOK || err != nil {
			p.t.Fatalf("list conversations: %d %s %v", status, body, err)
		}

		for _, one := range page.GetConversations() {
			logs = append(logs, p.settledLog(one.GetConversationId()))
		}

		if token = page.GetNextPageToken(); token == "" {
			return logs
		}
	}
}

// settledLog is a conversation's log once its turns have ended.
func (p *testPlatform) settledLog(conversation string) []*eventv1.Event {
	p.t.Helper()

	for deadline := time.Now().Add(patience); ; <-time.After(100 * time.Millisecond) {
		log := p.events(conversation)
		if last := log[len(log)-1]; len(log) == 1 || isEnd(last) || last.GetTurnWaiting() != nil || time.Now().After(deadline) {
			return log
		}
	}
}

// chaosDialogues have handoffs, look-ups, refunds that wait for a person, and bookings that do not.
func chaosDialogues() []loadtest.Dialogue {
	return []loadtest.Dialogue{
		{"My invoice was charged twice, please refund it", "Which appointment slots are free?", "Thank you, goodbye"},
		{"I would like to book an appointment", "What is the time now?", "Thank you, goodbye"},
		{"Refund the duplicate charge and then book a call", "List the free slots, please", "I would like to book an appointment"},
		{"List my invoices", "An invoice was charged twice, please refund it", "Book an appointment for Tuesday"},
	}
}
