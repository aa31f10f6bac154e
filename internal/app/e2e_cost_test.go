package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/app"
)

// budgetMicros is what a turn that begins with the example triage may cost.
const budgetMicros = 200_000

// priceTokens has every token of the simulated provider cost so many millionths of a dollar, in one step.
func priceTokens(t *testing.T, path string, micros float64) {
	t.Helper()

	text := fmt.Sprintf("prices:\n  simulated/*: {input: %f, output: %[1]f}\n", micros)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// spent is what a log says of one agent's model calls.
type spent struct{ reserved, tokens, micros int64 }

func spentBy(events []*eventv1.Event, agent string) spent {
	var sum spent

	for _, event := range events {
		if event.GetAgent() != agent {
			continue
		}

		if started := event.GetStepStarted(); started != nil && sum.reserved == 0 {
			sum.reserved = started.GetReservedTokens()
		}

		used := event.GetAgentMessage().GetUsage()
		sum.tokens += used.GetInputTokens() + used.GetOutputTokens()
		sum.micros += used.GetCostMicros()
	}

	return sum
}

// What a turn costs is added up over agents, and what one of them spent is missing to the next: prices that leave enough
// for triage, but not for billing after it, stop the turn before billing has asked a model.
func TestCostBudgetSurvivesAHandoff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prices.yaml")
	priceTokens(t, path, 1)

	p := startPlatform(t, func(config *app.PlatformConfig) {
		config.ExtraEnv = append(config.ExtraEnv, "LLM_PRICES_FILE="+path)
	})

	conversation := p.newConversation()
	used := p.send(conversation, listInvoices).GetUsage().GetCostMicros()
	events := p.events(conversation)
	triage, billing := spentBy(events, "triage"), spentBy(events, "billing")

	if billing.micros == 0 || used < triage.tokens+billing.tokens || used != triage.micros+billing.micros {
		t.Fatalf("the turn cost %d, triage %+v, billing %+v; the log:\n%s", used, triage, billing, transcript(events))
	}

	// Triage can reserve what it asks for; what it leaves is less than billing asks for. Agents may go by prices of half a
	// minute ago, but not those of another process.
	enough, tooDear := budgetMicros/float64(triage.reserved), budgetMicros/float64(triage.tokens+billing.reserved)
	priceTokens(t, path, (enough+tooDear)/2)

	p.stop()
	p.start()

	conversation = p.newConversation()
	p.send(conversation, listInvoices)
	events = p.events(conversation)

	checkLog(t, events)

	failed := events[len(events)-1]
	if failed.GetTurnFailed().GetReason() != "BUDGET_EXHAUSTED" || failed.GetAgent() != "billing" {
		t.Errorf("it failed with %v", failed)
	}

	triage, billing = spentBy(events, "triage"), spentBy(events, "billing")
	if cost := failed.GetTurnFailed().GetUsage().GetCostMicros(); cost != triage.micros || cost == 0 || cost > budgetMicros || billing.micros > 0 {
		t.Errorf("it cost %d, triage %+v, billing %+v", cost, triage, billing)
	}
}
