package gateway

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

func TestTurnFold(t *testing.T) {
	asked := &eventv1.InputRequested{CallId: "t-1-1-0", Kind: eventv1.InputRequested_KIND_APPROVAL}
	other := &eventv1.InputRequested{CallId: "t-1-1-1", Kind: eventv1.InputRequested_KIND_APPROVAL}
	wait := &eventv1.TurnWaiting{CallIds: []string{"t-1-1-0", "t-1-1-1"}}
	yes := func(call string) *eventv1.InputResolved {
		return &eventv1.InputResolved{CallId: call, Decision: eventv1.Decision_DECISION_APPROVE}
	}
	usage := &eventv1.Usage{InputTokens: 3}

	for name, c := range map[string]struct {
		events  []any
		want    *conversationv1.Turn
		settled bool
	}{
		"accepted": {
			[]any{&eventv1.TurnAccepted{Text: "hi"}},
			&conversationv1.Turn{Agent: "triage", State: conversationv1.TurnState_TURN_STATE_RUNNING}, false,
		},
		"completed after a handoff": {
			[]any{
				&eventv1.SegmentStarted{Agent: "triage"}, &eventv1.AgentMessage{}, &eventv1.Handoff{ToAgent: "billing"},
				&eventv1.SegmentStarted{Agent: "billing"}, &eventv1.SegmentRestarted{Agent: "billing"},
				&eventv1.AgentMessage{Simulated: true}, &eventv1.TurnCompleted{Text: "done", Usage: usage},
			},
			&conversationv1.Turn{
				Agent: "billing", State: conversationv1.TurnState_TURN_STATE_COMPLETED, Text: "done", Usage: usage, Simulated: true,
				Path: []string{"triage", "billing"},
			}, true,
		},
		"handed off, nobody there yet": {
			[]any{&eventv1.SegmentStarted{Agent: "triage"}, &eventv1.Handoff{ToAgent: "billing"}},
			&conversationv1.Turn{Agent: "billing", State: conversationv1.TurnState_TURN_STATE_RUNNING, Path: []string{"triage"}}, false,
		},
		"asked but not waiting yet": {
			[]any{asked},
			&conversationv1.Turn{Agent: "triage", State: conversationv1.TurnState_TURN_STATE_RUNNING}, false,
		},
		"waiting": {
			[]any{asked, other, wait},
			&conversationv1.Turn{
				Agent: "triage", State: conversationv1.TurnState_TURN_STATE_INPUT_REQUIRED,
				PendingInputs: []*eventv1.InputRequested{asked, other},
			}, true,
		},
		"one of two decided": {
			[]any{asked, other, wait, yes("t-1-1-0")},
			&conversationv1.Turn{
				Agent: "triage", State: conversationv1.TurnState_TURN_STATE_INPUT_REQUIRED, PendingInputs: []*eventv1.InputRequested{other},
			}, true,
		},
		"all decided": {
			[]any{asked, other, wait, yes("t-1-1-0"), yes("t-1-1-1")},
			&conversationv1.Turn{Agent: "triage", State: conversationv1.TurnState_TURN_STATE_RUNNING}, false,
		},
		"cancelled while waiting": {
			[]any{asked, wait, &eventv1.CancelRequested{}},
			&conversationv1.Turn{Agent: "triage", State: conversationv1.TurnState_TURN_STATE_RUNNING}, false,
		},
		"about to wait when cancelled": {
			[]any{asked, &eventv1.CancelRequested{}, wait},
			&conversationv1.Turn{Agent: "triage", State: conversationv1.TurnState_TURN_STATE_RUNNING}, false,
		},
		"cancelled": {
			[]any{&eventv1.TurnCancelled{Usage: usage}},
			&conversationv1.Turn{Agent: "triage", State: conversationv1.TurnState_TURN_STATE_CANCELLED, Usage: usage}, true,
		},
		"failed": {
			[]any{&eventv1.TurnFailed{Reason: "PROVIDER_ERROR", Message: "no", Usage: usage}},
			&conversationv1.Turn{
				Agent: "triage", State: conversationv1.TurnState_TURN_STATE_FAILED, Usage: usage,
				Error: &conversationv1.TurnError{Reason: "PROVIDER_ERROR", Message: "no"},
			}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			fold := newTurnFold("t", "triage")
			for i, kind := range c.events {
				event := fakeEvent("t", "", kind)
				event.Sequence = int64(i + 1)
				fold.apply(event)
				fold.apply(fakeEvent("another", "", &eventv1.TurnFailed{Reason: "NOT_MINE"}))
			}

			c.want.TurnId = "t"
			if got := fold.view(); !proto.Equal(got, c.want) {
				t.Errorf("got %s\nwant %s", protojson.Format(got), protojson.Format(c.want))
			}

			if got := fold.settled(int64(len(c.events)), 1); got != c.settled {
				t.Errorf("settled %v", got)
			}
		})
	}
}

func TestWaitThatIsOverInTheLogDoesNotSettle(t *testing.T) {
	fold := newTurnFold("t", "triage")
	fold.apply(fakeEvent("t", "", &eventv1.TurnWaiting{CallIds: []string{"c"}}))

	if fold.settled(4, 9) || !fold.settled(9, 9) {
		t.Error("a wait counts from the version on that was known")
	}
}

func TestDecide(t *testing.T) {
	fold := newTurnFold("t", "triage")
	ask := func(kind eventv1.InputRequested_Kind) {
		fold.apply(fakeEvent("t", "", &eventv1.InputRequested{CallId: "c", Kind: kind}))
	}

	if _, err := fold.decide("c", eventv1.Decision_DECISION_APPROVE); err == nil {
		t.Error("nothing was asked")
	}

	ask(eventv1.InputRequested_KIND_APPROVAL)

	if open, err := fold.decide("c", eventv1.Decision_DECISION_APPROVE); err != nil || open == nil {
		t.Errorf("fits: %v %v", open, err)
	}

	fold.apply(fakeEvent("t", "", &eventv1.InputResolved{CallId: "c", Decision: eventv1.Decision_DECISION_APPROVE}))
	ask(eventv1.InputRequested_KIND_OUTCOME) // about the same call: did it happen?

	for decision, want := range map[eventv1.Decision]struct{ open, fails bool }{
		eventv1.Decision_DECISION_APPROVE:        {false, false}, // the answer to the first question, again
		eventv1.Decision_DECISION_REJECT:         {false, true},
		eventv1.Decision_DECISION_HAPPENED:       {true, false},
		eventv1.Decision_DECISION_DID_NOT_HAPPEN: {true, false},
	} {
		if open, err := fold.decide("c", decision); (open != nil) != want.open || (err != nil) != want.fails {
			t.Errorf("%s: %v %v", decision, open, err)
		}
	}
}
