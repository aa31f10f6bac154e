package e2e_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/serinhq/serin/loadtest"
)

// conversationsVariable says how many conversations TestShare has.
const conversationsVariable = "SERIN_E2E_CONVERSATIONS"

// across are conversations that pass from triage to billing. They are as short as can be: there are many.
var across = []loadtest.Dialogue{
	{"List the customer invoices of the last months"},
	{"Please explain the charges on my invoices"},
	{"Please explain the charges on my last invoice"},
	{"Why are there two charges on my invoice?"},
}

// TestShare has two agents with a candidate at 10% each: of the conversations that meet them it gets what chance allows,
// and each conversation keeps what it met, over handoffs. (From turn to turn it is TestNoStepIsNoticed that looks.)
func TestShare(t *testing.T) {
	p := serin(t)
	conversations := p.conversations()
	candidates := map[string]string{}

	for _, agent := range []string{"triage", "billing"} {
		p.restored(agent)
		candidates[agent] = p.rollOut(agent, "\nBe kind: "+t.Name(), 10, 100)
		p.await(agent, "at 10%", carries(candidates[agent], 10))
	}

	report, err := loadtest.Run(t.Context(), loadtest.Config{
		URL: p.gateway.URL, Token: p.gateway.Token, Audit: true, MaxOpen: 16, TurnTimeout: time.Hour, Scenario: loadtest.Scenario{
			Name: "share", Stages: loadtest.Steady(10_000, 0).Stages, Conversations: conversations,
			Turns: len(across[0]), Dialogues: across,
		},
	})
	p.must(err)
	p.unharmed(report)
	p.inTheMesh()

	for agent, candidate := range candidates {
		share := report.Share(agent, candidate, 10, time.Time{}, time.Time{})
		if t.Log(share); !share.Inside || share.Conversations != conversations {
			t.Errorf("the share is not what chance allows, or not all met %s: %v", agent, share)
		}

		figures.add("share", agent+" at 10%", fmt.Sprintf("%d of %d (chance allows %d to %d)", share.Got, share.Conversations, share.Low, share.High))
	}

	if report.Conversations.Finished != conversations || report.Changes > 0 {
		t.Errorf("%d conversations finished, want %d; %d changes of revision", report.Conversations.Finished, conversations, report.Changes)
	}

	figures.add("share", "flips", fmt.Sprintf("%d in %d turns, %.0f turns/s", report.Flips, report.Turns.Sent,
		float64(report.Turns.Sent)/report.Took.Seconds()))
}

func (p *platform) conversations() int {
	p.Helper()

	wanted := os.Getenv(conversationsVariable)
	switch {
	case wanted != "":
	case testing.Short():
		return 200
	default:
		return 4000
	}

	count, err := strconv.Atoi(wanted)
	p.must(err)

	return count
}
