package e2e_test

import (
	"slices"
	"testing"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// TestConversation has a user's conversation pass from agent to agent and use a tool.
func TestConversation(t *testing.T) {
	p := serin(t)

	conversation, err := p.gateway.Begin(t.Context())
	p.must(err)

	turn, err := p.gateway.Say(t.Context(), conversation, "I was charged twice for March, please look at my invoices.")
	p.must(err)

	if turn.GetState() == conversationv1.TurnState_TURN_STATE_FAILED {
		t.Errorf("the turn ended as %v", turn)
	}

	events, err := p.gateway.Events(t.Context(), conversation)
	p.must(err)

	joined, handoffs, results := []string{}, 0, 0

	for _, event := range events {
		switch {
		case event.GetAgentJoined() != nil:
			joined = append(joined, event.GetAgentJoined().GetAgent())
		case event.GetHandoff() != nil:
			handoffs++
		case event.GetToolResult() != nil && event.GetToolResult().GetOutcome() == eventv1.ToolResult_OUTCOME_OK:
			results++
		}
	}

	if !slices.Contains(joined, "triage") || !slices.Contains(joined, "billing") || handoffs == 0 || results == 0 {
		t.Errorf("joined: %v, %d handoffs, %d results of tools: %v", joined, handoffs, results, events)
	}
}
