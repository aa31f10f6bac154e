package contextstore

import eventv1 "github.com/serinhq/serin/gen/serin/event/v1"

// cursor is a reader's place in a log.
type cursor struct {
	// next is the sequence of the next durable event.
	next int64
	// turnID and epoch are those of the last durable event of a turn.
	turnID string
	epoch  int64
}

// gap says that durable events are missing before this one.
func (c *cursor) gap(event *eventv1.Event) bool { return event.GetSequence() > c.next }

// admit says whether the reader gets the event, and moves on: durable events once and in order, transient ones unless
// the log has shown that their epoch is over.
func (c *cursor) admit(event *eventv1.Event) bool {
	switch {
	case event.GetSequence() == 0:
		return event.GetTurnId() != c.turnID || event.GetEpoch() >= c.epoch
	case event.GetSequence() != c.next:
		return false
	}

	c.next++
	if event.GetTurnId() != "" {
		c.turnID, c.epoch = event.GetTurnId(), event.GetEpoch()
	}

	return true
}
