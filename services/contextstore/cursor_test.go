package contextstore

import (
	"testing"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

func TestCursor(t *testing.T) {
	at := cursor{next: 3}

	for _, step := range []struct {
		name       string
		event      *eventv1.Event
		gap, admit bool
	}{
		{"had already", &eventv1.Event{Sequence: 2}, false, false},
		{"too early", &eventv1.Event{Sequence: 4}, true, false},
		{"the next", &eventv1.Event{Sequence: 3, TurnId: "t", Epoch: 2}, false, true},
		{"the same again", &eventv1.Event{Sequence: 3, TurnId: "t", Epoch: 2}, false, false},
		{"a delta", &eventv1.Event{TurnId: "t", Epoch: 2}, false, true},
		{"a restart", &eventv1.Event{Sequence: 4, TurnId: "t", Epoch: 3}, false, true},
		{"a delta of who was replaced", &eventv1.Event{TurnId: "t", Epoch: 2}, false, false},
		{"a delta of the new executor", &eventv1.Event{TurnId: "t", Epoch: 3}, false, true},
		{"an event outside of turns", &eventv1.Event{Sequence: 5}, false, true},
		{"a delta that is still too old", &eventv1.Event{TurnId: "t", Epoch: 2}, false, false},
		{"another turn", &eventv1.Event{Sequence: 6, TurnId: "u", Epoch: 1}, false, true},
		{"a delta of the other turn", &eventv1.Event{TurnId: "u", Epoch: 1}, false, true},
	} {
		if got := at.gap(step.event); got != step.gap {
			t.Errorf("%s: gap is %v", step.name, got)
		}

		if got := at.admit(step.event); got != step.admit {
			t.Errorf("%s: admit is %v", step.name, got)
		}
	}
}
