package app

import (
	"strings"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// shownText is what a reader of a log has on the screen of each message: deltas and parts extend it, the whole message
// settles it, and a restart of the segment voids what was not settled.
type shownText struct {
	messages  map[string]*shownMessage
	restarted map[segmentKey]int64
}

type segmentKey struct {
	turn    string
	segment int32
}

type shownMessage struct {
	segment segmentKey
	text    string
	final   bool
}

// shownChange is what an event does to the screen. The zero value is nothing.
type shownChange struct {
	// MessageID is the message that Text belongs to.
	MessageID string
	// Text is to be written after what is there of the message.
	Text string
	// Replaced says that what is there of the message is wrong; Text is all of it.
	Replaced bool
	// Final says that the message is complete.
	Final bool
	// Voided are messages that were begun and will not be finished.
	Voided []string
}

func newShownText() *shownText {
	return &shownText{messages: map[string]*shownMessage{}, restarted: map[segmentKey]int64{}}
}

// apply takes the next event of the log.
func (s *shownText) apply(event *eventv1.Event) shownChange {
	switch kind := event.GetKind().(type) {
	case *eventv1.Event_TextDelta:
		return s.extend(event, kind.TextDelta.GetMessageId(), kind.TextDelta.GetOffset(), kind.TextDelta.GetText())
	case *eventv1.Event_MessagePart:
		return s.extend(event, kind.MessagePart.GetMessageId(), kind.MessagePart.GetOffset(), kind.MessagePart.GetText())
	case *eventv1.Event_AgentMessage:
		return s.settle(event, kind.AgentMessage.GetMessageId(), kind.AgentMessage.GetText())
	case *eventv1.Event_SegmentRestarted:
		return s.void(event)
	default:
		return shownChange{}
	}
}

// extend adds text at an offset: what is there already is skipped, and text beyond a gap is dropped, because the next
// part closes the gap. Text of a process that was replaced is dropped too.
func (s *shownText) extend(event *eventv1.Event, id string, offset int64, text string) shownChange {
	segment := segmentOf(event)
	known := s.messages[id]

	if event.GetEpoch() < s.restarted[segment] || (known != nil && known.final) {
		return shownChange{}
	}

	have := int64(0)
	if known != nil {
		have = int64(len(known.text))
	}

	skip := have - offset
	if offset < 0 || skip < 0 || skip >= int64(len(text)) {
		return shownChange{}
	}

	if known == nil {
		known = &shownMessage{segment: segment}
		s.messages[id] = known
	}

	known.text += text[skip:]

	return shownChange{MessageID: id, Text: text[skip:]}
}

// settle replaces what is there by the whole message.
func (s *shownText) settle(event *eventv1.Event, id, text string) shownChange {
	before := ""
	if known := s.messages[id]; known != nil {
		before = known.text
	}

	s.messages[id] = &shownMessage{segment: segmentOf(event), text: text, final: true}

	rest, extends := strings.CutPrefix(text, before)

	return shownChange{MessageID: id, Text: rest, Replaced: !extends, Final: true}
}

// void forgets the unfinished messages of the event's segment.
func (s *shownText) void(event *eventv1.Event) shownChange {
	segment := segmentOf(event)
	s.restarted[segment] = max(s.restarted[segment], event.GetEpoch())

	change := shownChange{}

	for id, known := range s.messages {
		if known.segment == segment && !known.final {
			delete(s.messages, id)
			change.Voided = append(change.Voided, id)
		}
	}

	return change
}

func segmentOf(event *eventv1.Event) segmentKey {
	return segmentKey{turn: event.GetTurnId(), segment: event.GetSegment()}
}
