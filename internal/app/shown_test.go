package app

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// inSegment puts an event into a segment of a turn.
func inSegment(segment int32, epoch int64, event *eventv1.Event) *eventv1.Event {
	event.TurnId, event.Segment, event.Epoch, event.Agent = "t1", segment, epoch, "billing"

	return event
}

func delta(id string, offset int64, text string) *eventv1.Event {
	return inSegment(1, 1, &eventv1.Event{Kind: &eventv1.Event_TextDelta{
		TextDelta: &eventv1.TextDelta{MessageId: id, Offset: offset, Text: text},
	}})
}

func part(id string, offset int64, text string) *eventv1.Event {
	return inSegment(1, 1, &eventv1.Event{Kind: &eventv1.Event_MessagePart{
		MessagePart: &eventv1.MessagePart{MessageId: id, Offset: offset, Text: text},
	}})
}

func whole(id, text string) *eventv1.Event {
	return inSegment(1, 1, &eventv1.Event{Kind: &eventv1.Event_AgentMessage{
		AgentMessage: &eventv1.AgentMessage{MessageId: id, Text: text},
	}})
}

func restarted(segment int32, epoch int64) *eventv1.Event {
	return inSegment(segment, epoch, &eventv1.Event{Kind: &eventv1.Event_SegmentRestarted{
		SegmentRestarted: &eventv1.SegmentRestarted{},
	}})
}

func withEpoch(epoch int64, event *eventv1.Event) *eventv1.Event {
	event.Epoch = epoch

	return event
}

func TestShownText(t *testing.T) {
	type step struct {
		event *eventv1.Event
		want  shownChange
	}

	for name, steps := range map[string][]step{
		"deltas extend": {
			{delta("m", 0, "Hel"), shownChange{MessageID: "m", Text: "Hel"}},
			{delta("m", 3, "lo"), shownChange{MessageID: "m", Text: "lo"}},
			{whole("m", "Hello"), shownChange{MessageID: "m", Final: true}},
		},
		"what is there is skipped": {
			{delta("m", 0, "Hello"), shownChange{MessageID: "m", Text: "Hello"}},
			{part("m", 0, "Hello"), shownChange{}},
			{part("m", 2, "llo, you"), shownChange{MessageID: "m", Text: ", you"}},
		},
		"a gap waits for the part that closes it": {
			{delta("m", 0, "He"), shownChange{MessageID: "m", Text: "He"}},
			{delta("m", 4, "o"), shownChange{}},
			{part("m", 0, "Hello"), shownChange{MessageID: "m", Text: "llo"}},
		},
		"a reader who joins late has the whole message at its end": {
			{delta("m", 100, "late"), shownChange{}},
			{whole("m", "all of it"), shownChange{MessageID: "m", Text: "all of it", Final: true}},
		},
		"the whole message replaces": {
			{delta("m", 0, "secret"), shownChange{MessageID: "m", Text: "secret"}},
			{whole("m", "no"), shownChange{MessageID: "m", Text: "no", Replaced: true, Final: true}},
			{delta("m", 2, "pe"), shownChange{}},
			{whole("m", "no"), shownChange{MessageID: "m", Final: true}},
		},
		"a restart voids what is not finished, in its segment": {
			{whole("m1", "done"), shownChange{MessageID: "m1", Text: "done", Final: true}},
			{delta("m2", 0, "half"), shownChange{MessageID: "m2", Text: "half"}},
			{inSegment(2, 1, delta("m3", 0, "other")), shownChange{MessageID: "m3", Text: "other"}},
			{restarted(1, 2), shownChange{Voided: []string{"m2"}}},
			{withEpoch(1, delta("m2", 4, " more")), shownChange{}},
			{withEpoch(2, delta("m2", 0, "new")), shownChange{MessageID: "m2", Text: "new"}},
		},
		"nonsense": {
			{delta("m", -1, "x"), shownChange{}},
			{delta("m", 0, ""), shownChange{}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			shown := newShownText()
			for i, step := range steps {
				if diff := cmp.Diff(step.want, shown.apply(step.event)); diff != "" {
					t.Errorf("step %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

// TestShownTextIsAlwaysAPrefix: whichever deltas are lost or come twice, a reader never sees anything but a beginning of
// the message, and parts bring all of what they cover.
func TestShownTextIsAlwaysAPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(1, 60, 200).Draw(t, "text")
		shown, screen, durable := newShownText(), "", 0

		for durable < len(text) {
			from := rapid.IntRange(0, len(text)-1).Draw(t, "from")
			to := rapid.IntRange(from, len(text)).Draw(t, "to")
			event := delta("m", int64(from), text[from:to])

			if rapid.Bool().Draw(t, "durable") {
				to = rapid.IntRange(durable+1, len(text)).Draw(t, "end")
				event, durable = part("m", int64(durable), text[durable:to]), to
			}

			screen += shown.apply(event).Text

			if screen != text[:len(screen)] {
				t.Fatalf("the screen has %q of %q", screen, text)
			}

			if len(screen) < durable {
				t.Fatalf("the screen has %d bytes, and parts brought %d", len(screen), durable)
			}
		}

		change := shown.apply(whole("m", text))
		if change.Replaced || screen+change.Text != text {
			t.Fatalf("at the end %q and %+v", screen, change)
		}
	})
}
