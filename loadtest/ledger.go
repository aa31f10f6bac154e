package loadtest

import (
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// The kinds of violations.
const (
	kindFlip    = "flip"
	kindLost    = "lost"
	kindDoubled = "doubled"
	kindFailed  = "failed"
)

// ledger is one conversation's log as its reader sees it. It knows which revision the conversation keeps of each agent,
// and which event must come next.
type ledger struct {
	conversation string
	// next is the sequence that comes next.
	next int64
	pins map[string]string
	// joined are agents whose first pin was seen: there is no second one.
	joined map[string]bool
	// digests are of the events that were seen, by sequence.
	digests map[int64]uint64
	// met are the revisions that had a segment.
	met map[name]bool
	// once are events of the present turn that must not come again under another sequence.
	once map[string]bool
	// calls are tool calls of the present turn that have no result yet, and the revision that made each.
	calls map[string]string
	turn  sight
}

// sight is what a reader saw of one turn.
type sight struct {
	joins, moves      []pinned
	met               []name
	segments          []segment
	changes, restarts int
	violations        []Violation
}

// pinned is a pin and when it was made.
type pinned struct {
	name

	at time.Time
}

// segment is one agent's part of a turn. It did not begin if the agent could not be reached.
type segment struct {
	name

	began, ended time.Time
	failed       string
	lost         bool
}

func newLedger(conversation string, version int64) *ledger {
	return &ledger{
		conversation: conversation, next: version + 1, pins: map[string]string{}, joined: map[string]bool{},
		digests: map[int64]uint64{}, met: map[name]bool{}, once: map[string]bool{}, calls: map[string]string{},
	}
}

// begin forgets the turn before.
func (l *ledger) begin() {
	clear(l.once)
	clear(l.calls)

	l.turn = sight{}
}

// missing returns how many events should have come before one with this sequence.
func (l *ledger) missing(sequence int64) int64 { return max(sequence-l.next, 0) }

// take notes a durable event. It returns false for one that came before.
func (l *ledger) take(event *eventv1.Event) bool {
	if event.GetSequence() < l.next {
		l.violate(kindDoubled, event, "came again")

		return false
	}

	if missing := l.missing(event.GetSequence()); missing > 0 {
		l.violate(kindLost, event, "%d events before it did not come", missing)
	}

	l.next = event.GetSequence() + 1
	l.digests[event.GetSequence()] = digest(event)
	l.checkRevision(event)
	l.checkOnce(event)
	l.note(event)

	return true
}

func (l *ledger) violate(kind string, event *eventv1.Event, format string, args ...any) {
	l.turn.violations = append(l.turn.violations, Violation{
		Kind: kind, Conversation: l.conversation, Sequence: event.GetSequence(), Time: event.GetTime().AsTime(),
		Text: fmt.Sprintf("%s: %s", kindOf(event), fmt.Sprintf(format, args...)),
	})
}

// checkRevision compares who acted with the conversation's pin. Each flip is told once.
func (l *ledger) checkRevision(event *eventv1.Event) {
	actor := name{event.GetAgent(), event.GetRevision()}

	switch kind := event.GetKind().(type) {
	case *eventv1.Event_AgentJoined:
		actor = name{kind.AgentJoined.GetAgent(), kind.AgentJoined.GetRevision()}
		l.join(event, actor.agent)
	case *eventv1.Event_RevisionChanged:
		l.change(event, kind.RevisionChanged)

		return
	case *eventv1.Event_ToolStarted:
		if l.checkCaller(event, kind.ToolStarted.GetCallId()) {
			return
		}
	case *eventv1.Event_ToolResult:
		if l.checkCaller(event, kind.ToolResult.GetCallId()) {
			return
		}
	}

	if actor.agent == "" || actor.revision == "" {
		return
	}

	if before := l.pins[actor.agent]; before != "" && before != actor.revision {
		l.violate(kindFlip, event, "agent %s is %s, and was %s before", actor.agent, actor.revision, before)
	}

	l.pins[actor.agent] = actor.revision
}

// checkCaller compares whose call it is said to be with who made it: a call outlives its revision's pin. False means that
// nobody is known to have made it.
func (l *ledger) checkCaller(event *eventv1.Event, call string) bool {
	caller, known := l.calls[call]
	if known && caller != event.GetRevision() {
		l.violate(kindFlip, event, "call %s is said to be of %s, and was made by %s", call, event.GetRevision(), caller)
	}

	return known
}

func (l *ledger) join(event *eventv1.Event, agent string) {
	if l.joined[agent] {
		l.violate(kindDoubled, event, "agent %s joins again", agent)
	}

	l.joined[agent] = true
}

func (l *ledger) change(event *eventv1.Event, changed *eventv1.RevisionChanged) {
	if before := l.pins[changed.GetAgent()]; before != "" && before != changed.GetFromRevision() {
		l.violate(kindFlip, event, "agent %s changes from %s, and was %s", changed.GetAgent(), changed.GetFromRevision(), before)
	}

	l.pins[changed.GetAgent()] = changed.GetToRevision()
	l.turn.changes++
	l.turn.moves = append(l.turn.moves, pinned{name{changed.GetAgent(), changed.GetToRevision()}, event.GetTime().AsTime()})
}

// checkOnce finds events that are there twice, and tool calls that the turn's end leaves without a result.
func (l *ledger) checkOnce(event *eventv1.Event) {
	if key := onceKey(event); key != "" {
		if l.once[key] {
			l.violate(kindDoubled, event, "%s is there twice", key)
		}

		l.once[key] = true
	}

	switch kind := event.GetKind().(type) {
	case *eventv1.Event_AgentMessage:
		for _, call := range kind.AgentMessage.GetToolCalls() {
			l.calls[call.GetCallId()] = event.GetRevision()
		}
	case *eventv1.Event_ToolResult:
		delete(l.calls, kind.ToolResult.GetCallId())
	case *eventv1.Event_TurnCompleted:
		for call := range l.calls {
			l.violate(kindLost, event, "call %s has no result", call)
		}
	}
}

// onceKey names what an event says that may only be said once; "" for other events.
func onceKey(event *eventv1.Event) string {
	switch kind := event.GetKind().(type) {
	case *eventv1.Event_TurnAccepted:
		return "the message of turn " + event.GetTurnId()
	case *eventv1.Event_TurnCompleted, *eventv1.Event_TurnFailed, *eventv1.Event_TurnCancelled:
		return "the end of turn " + event.GetTurnId()
	case *eventv1.Event_AgentMessage:
		return "message " + kind.AgentMessage.GetMessageId()
	case *eventv1.Event_ToolResult:
		return "the result of call " + kind.ToolResult.GetCallId()
	case *eventv1.Event_Handoff:
		return "handoff " + kind.Handoff.GetCallId()
	default:
		return ""
	}
}

// note folds the event into segments and pins.
func (l *ledger) note(event *eventv1.Event) {
	at := event.GetTime().AsTime()

	switch kind := event.GetKind().(type) {
	case *eventv1.Event_AgentJoined:
		joined := name{kind.AgentJoined.GetAgent(), kind.AgentJoined.GetRevision()}
		l.turn.joins = append(l.turn.joins, pinned{joined, at})
	case *eventv1.Event_SegmentStarted, *eventv1.Event_SegmentResumed:
		l.start(event)
	case *eventv1.Event_SegmentRestarted:
		l.turn.restarts++
		l.close(at, func(open *segment) { open.lost = true })
		l.start(event)
	case *eventv1.Event_Handoff, *eventv1.Event_TurnWaiting, *eventv1.Event_TurnCompleted, *eventv1.Event_TurnCancelled:
		l.close(at, func(*segment) {})
	case *eventv1.Event_TurnFailed:
		l.fail(event, kind.TurnFailed.GetReason())
	}
}

func (l *ledger) start(event *eventv1.Event) {
	actor := name{event.GetAgent(), event.GetRevision()}
	l.turn.segments = append(l.turn.segments, segment{name: actor, began: event.GetTime().AsTime()})

	if !l.met[actor] {
		l.met[actor] = true
		l.turn.met = append(l.turn.met, actor)
	}
}

// close ends the segment that is open, and reports whether there is one.
func (l *ledger) close(at time.Time, how func(*segment)) bool {
	if len(l.turn.segments) == 0 {
		return false
	}

	open := &l.turn.segments[len(l.turn.segments)-1]
	if !open.ended.IsZero() {
		return false
	}

	open.ended = at
	how(open)

	return true
}

func (l *ledger) fail(event *eventv1.Event, reason string) {
	at := event.GetTime().AsTime()
	if l.close(at, func(open *segment) { open.failed = reason }) || event.GetRevision() == "" {
		return
	}

	l.turn.segments = append(l.turn.segments, segment{
		name: name{event.GetAgent(), event.GetRevision()}, ended: at, failed: reason,
	})
}

// compare looks for differences between the log as it is stored and what was streamed of it: sequences from 1 on.
func (l *ledger) compare(stored []*eventv1.Event) []Violation {
	l.begin()

	for i, event := range stored {
		if want := int64(i) + 1; event.GetSequence() != want {
			l.violate(kindLost, event, "is where event %d should be", want)

			break
		}

		if seen, known := l.digests[event.GetSequence()]; known && seen != digest(event) {
			l.violate(kindLost, event, "is stored otherwise than it was streamed")
		}
	}

	if last := int64(len(stored)); last >= l.next {
		l.violate(kindLost, stored[l.next-1], "and %d events after it were not streamed", last-l.next)
	} else if last < l.next-1 {
		l.violate(kindLost, &eventv1.Event{Sequence: l.next - 1}, "was streamed, and the log has %d events", last)
	}

	return slices.Clone(l.turn.violations)
}

// kindOf is the name of the event's kind, such as turn_accepted.
func kindOf(event *eventv1.Event) string {
	message := event.ProtoReflect()

	kind := message.WhichOneof(message.Descriptor().Oneofs().ByName("kind"))
	if kind == nil {
		return "event"
	}

	return string(kind.Name())
}

// digest tells events apart.
func digest(event *eventv1.Event) uint64 {
	data, _ := proto.MarshalOptions{Deterministic: true}.Marshal(event) // what was read can be written
	hash := fnv.New64a()
	_, _ = hash.Write(data) // a hash takes everything

	return hash.Sum64()
}
