package gateway

import (
	"slices"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// turnFold folds a turn's events into the turn as users see it. It is pure: the same events give the same turn.
type turnFold struct {
	turn *conversationv1.Turn
	// inputs are all questions asked in the turn, in order.
	inputs []*input
	// cancelled says that someone asked to end the turn: it does not wait for anyone any more.
	cancelled bool
}

// input is a question to a human about a call, and its answer.
type input struct {
	request  *eventv1.InputRequested
	sequence int64
	answer   eventv1.Decision
}

func (i *input) open() bool { return i.answer == eventv1.Decision_DECISION_UNSPECIFIED }

// newTurnFold begins before the turn's first event; agent is who owns the turn then.
func newTurnFold(turnID, agent string) *turnFold {
	return &turnFold{turn: &conversationv1.Turn{
		TurnId: turnID, Agent: agent, State: conversationv1.TurnState_TURN_STATE_RUNNING,
	}}
}

// concerns reports whether the event is about this turn or about no turn.
func (f *turnFold) concerns(event *eventv1.Event) bool {
	return event.GetTurnId() == "" || event.GetTurnId() == f.turn.GetTurnId()
}

// apply folds one more event in.
func (f *turnFold) apply(event *eventv1.Event) {
	if event.GetTurnId() != f.turn.GetTurnId() {
		return
	}

	switch kind := event.GetKind().(type) {
	case *eventv1.Event_SegmentStarted:
		f.enter(kind.SegmentStarted.GetAgent())
	case *eventv1.Event_SegmentRestarted:
		f.enter(kind.SegmentRestarted.GetAgent())
	case *eventv1.Event_SegmentResumed:
		f.enter(kind.SegmentResumed.GetAgent())
	case *eventv1.Event_AgentMessage:
		f.turn.Simulated = f.turn.GetSimulated() || kind.AgentMessage.GetSimulated()
	case *eventv1.Event_Handoff:
		f.turn.Agent = kind.Handoff.GetToAgent()
	default:
		f.applyInput(event)
		f.applyEnd(event)
	}
}

// applyInput folds what humans are asked and what they answer.
func (f *turnFold) applyInput(event *eventv1.Event) {
	switch kind := event.GetKind().(type) {
	case *eventv1.Event_InputRequested:
		f.inputs = append(f.inputs, &input{request: kind.InputRequested, sequence: event.GetSequence()})
	case *eventv1.Event_InputResolved:
		f.answer(kind.InputResolved)
	case *eventv1.Event_TurnWaiting:
		if !f.cancelled {
			f.turn.State = conversationv1.TurnState_TURN_STATE_INPUT_REQUIRED
		}
	case *eventv1.Event_CancelRequested:
		f.cancelled = true
		f.resume()
	}
}

// applyEnd folds the turn's last event.
func (f *turnFold) applyEnd(event *eventv1.Event) {
	switch kind := event.GetKind().(type) {
	case *eventv1.Event_TurnCompleted:
		f.turn.State = conversationv1.TurnState_TURN_STATE_COMPLETED
		f.turn.Text = kind.TurnCompleted.GetText()
		f.turn.Usage = kind.TurnCompleted.GetUsage()
	case *eventv1.Event_TurnFailed:
		f.turn.State = conversationv1.TurnState_TURN_STATE_FAILED
		f.turn.Error = &conversationv1.TurnError{
			Reason: kind.TurnFailed.GetReason(), Message: kind.TurnFailed.GetMessage(),
		}
		f.turn.Usage = kind.TurnFailed.GetUsage()
	case *eventv1.Event_TurnCancelled:
		f.turn.State = conversationv1.TurnState_TURN_STATE_CANCELLED
		f.turn.Usage = kind.TurnCancelled.GetUsage()
	}
}

func (f *turnFold) enter(agent string) {
	f.resume()
	f.turn.Agent = agent

	if path := f.turn.GetPath(); len(path) == 0 || path[len(path)-1] != agent {
		f.turn.Path = append(f.turn.Path, agent)
	}
}

func (f *turnFold) resume() {
	if f.waiting() {
		f.turn.State = conversationv1.TurnState_TURN_STATE_RUNNING
	}
}

func (f *turnFold) answer(resolved *eventv1.InputResolved) {
	if asked := f.asked(resolved.GetCallId()); asked != nil {
		asked.answer = resolved.GetDecision()
	}

	if len(f.pending()) == 0 {
		f.resume()
	}
}

// asked returns the last question about the call, or nil.
func (f *turnFold) asked(callID string) *input {
	for _, asked := range slices.Backward(f.inputs) {
		if asked.request.GetCallId() == callID {
			return asked
		}
	}

	return nil
}

func (f *turnFold) pending() []*eventv1.InputRequested {
	var pending []*eventv1.InputRequested

	for _, asked := range f.inputs {
		if asked.open() {
			pending = append(pending, asked.request)
		}
	}

	return pending
}

func (f *turnFold) waiting() bool {
	return f.turn.GetState() == conversationv1.TurnState_TURN_STATE_INPUT_REQUIRED
}

func (f *turnFold) ended() bool {
	switch f.turn.GetState() {
	case conversationv1.TurnState_TURN_STATE_COMPLETED, conversationv1.TurnState_TURN_STATE_FAILED,
		conversationv1.TurnState_TURN_STATE_CANCELLED:
		return true
	case conversationv1.TurnState_TURN_STATE_UNSPECIFIED, conversationv1.TurnState_TURN_STATE_RUNNING,
		conversationv1.TurnState_TURN_STATE_INPUT_REQUIRED:
		return false
	default:
		return false
	}
}

// settled reports whether there is nothing to wait for but humans: the turn ended, or waits, and the log up to a version
// that was known before does not say that it went on since.
func (f *turnFold) settled(sequence, known int64) bool {
	return f.ended() || f.waiting() && sequence >= known
}

// view is the turn as folded so far.
func (f *turnFold) view() *conversationv1.Turn {
	f.turn.PendingInputs = nil
	if f.waiting() {
		f.turn.PendingInputs = f.pending()
	}

	return f.turn
}
