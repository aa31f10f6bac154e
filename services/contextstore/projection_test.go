package contextstore

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// TestProjectIsPure: the rows and events that went in are as they were, also after a refusal half-way.
func TestProjectIsPure(t *testing.T) {
	lease := &contextv1.LeaseRef{TurnId: "t1", Epoch: 2}
	turn := &contextv1.Turn{
		TurnId: "t1", Agent: "triage", Epoch: 2, LeaseHolder: "h", Status: contextv1.TurnStatus_TURN_STATUS_RUNNING,
		Budget: &eventv1.Budget{Steps: 9}, Spent: &eventv1.Budget{}, Visited: []*contextv1.Visit{{Agent: "triage"}},
	}
	before := rows{
		conversation: Conversation{ID: "c1", Agent: "triage", Version: 7, ActiveTurnID: "t1"},
		turn:         &Turn{Turn: proto.CloneOf(turn), Phase: PhaseExecuting},
		calls:        map[string]Call{"k": {ID: "k", TurnID: "t1", State: CallProposed}},
	}
	events := []*eventv1.Event{
		{Step: 1, Kind: &eventv1.Event_StepStarted{StepStarted: &eventv1.StepStarted{ReservedTokens: 10}}},
		{Kind: &eventv1.Event_ToolResult{ToolResult: &eventv1.ToolResult{CallId: "k"}}},
		{Kind: &eventv1.Event_Handoff{Handoff: &eventv1.Handoff{FromAgent: "triage", ToAgent: "billing"}}},
	}

	by := writer{role: roleAgent, agent: "triage", lease: lease}

	after, err := project(before, by, events, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}

	if after.turn.GetAgent() != "billing" || after.conversation.Version != 10 || after.calls["k"].State != CallCompleted {
		t.Errorf("the append was not applied: %+v", after)
	}

	if _, err := project(before, by, append(events, events[0]), time.Unix(1, 0)); err == nil {
		t.Error("an event after a handoff was taken")
	}

	if !proto.Equal(before.turn.Turn, turn) || before.turn.Phase != PhaseExecuting {
		t.Errorf("the turn was changed to %+v", before.turn)
	}

	if before.conversation.Version != 7 || before.calls["k"].State != CallProposed || events[0].GetSequence() != 0 {
		t.Error("the conversation, the calls or the events were changed")
	}
}
