package agent

import (
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// withheld stands in a later prompt where a guardrail kept a user's message from the model.
const withheld = "(This message was withheld by a guardrail.)"

// fold builds the state from a checkpoint, which may be nil, and the events after it.
func fold(from *state, events []*eventv1.Event) *state {
	if from == nil {
		from = newState()
	}

	for _, event := range events {
		from.apply(event)
	}

	return from
}

// apply folds one event. Events that say nothing about what is left to do change only the sequence.
func (s *state) apply(event *eventv1.Event) {
	s.sequence = max(s.sequence, event.GetSequence())

	switch kind := event.GetKind().(type) {
	case *eventv1.Event_TurnAccepted:
		s.accept(event, kind.TurnAccepted)
	case *eventv1.Event_SegmentStarted:
		s.turn.segment = segment{
			number: event.GetSegment(), agent: kind.SegmentStarted.GetAgent(),
			started: event.GetTime().AsTime(), message: -1,
		}
		s.visit(kind.SegmentStarted.GetAgent())
	case *eventv1.Event_SegmentResumed, *eventv1.Event_SegmentRestarted:
		s.resume(event)
	case *eventv1.Event_StepStarted:
		s.step(event, kind.StepStarted)
	case *eventv1.Event_AgentMessage:
		s.say(event, kind.AgentMessage)
	case *eventv1.Event_ToolStarted:
		if found := s.call(kind.ToolStarted.GetCallId()); found != nil {
			found.Started = found.Result == nil
		}
	case *eventv1.Event_ToolResult:
		s.result(kind.ToolResult)
	case *eventv1.Event_Handoff:
		s.handOver(kind.Handoff)
	default:
		s.applyControl(event)
	}
}

// applyControl folds what humans and the platform say about a turn.
func (s *state) applyControl(event *eventv1.Event) {
	switch kind := event.GetKind().(type) {
	case *eventv1.Event_InputRequested:
		if found := s.call(kind.InputRequested.GetCallId()); found != nil {
			found.asked, found.decision = kind.InputRequested.GetKind(), eventv1.Decision_DECISION_UNSPECIFIED
		}
	case *eventv1.Event_InputResolved:
		if found := s.call(kind.InputResolved.GetCallId()); found != nil {
			found.decision, found.comment = kind.InputResolved.GetDecision(), kind.InputResolved.GetComment()
		}
	case *eventv1.Event_TurnWaiting:
		s.turn.segment.waiting = event.GetTime().AsTime()
	case *eventv1.Event_GuardrailTriggered:
		if kind.GuardrailTriggered.GetDirection() == eventv1.GuardrailTriggered_DIRECTION_INPUT && s.turn.id == event.GetTurnId() {
			s.history[s.turn.user].Text = withheld
		}
	case *eventv1.Event_GuardrailApplied:
		if event.GetTurnId() == s.turn.id {
			s.guard(event, kind.GuardrailApplied)
		}
	case *eventv1.Event_CancelRequested:
		if event.GetTurnId() == s.turn.id {
			s.turn.cancel = &cancellation{by: kind.CancelRequested.GetBy(), reason: kind.CancelRequested.GetReason()}
		}
	case *eventv1.Event_TurnCompleted, *eventv1.Event_TurnFailed, *eventv1.Event_TurnCancelled:
		if event.GetTurnId() == s.turn.id {
			s.turn.ended = true
		}
	}
}

func (s *state) accept(event *eventv1.Event, accepted *eventv1.TurnAccepted) {
	s.history = append(s.history, message{Text: accepted.GetText()})
	s.turn = turn{
		id: event.GetTurnId(), accepted: event.GetTime().AsTime(), text: accepted.GetText(),
		user: len(s.history) - 1, budget: accepted.GetBudget(), usage: &eventv1.Usage{},
		segment: segment{message: -1},
	}
}

// resume goes on with a segment: the time that humans took does not count.
func (s *state) resume(event *eventv1.Event) {
	segment := &s.turn.segment
	if !segment.waiting.IsZero() {
		segment.waited += event.GetTime().AsTime().Sub(segment.waiting)
		segment.waiting = time.Time{}
	}
}

func (s *state) step(event *eventv1.Event, started *eventv1.StepStarted) {
	reserved := started.GetReservedTokens()
	s.turn.steps++
	s.turn.tokens += reserved
	s.turn.segment.step, s.turn.segment.open, s.turn.segment.reserved = event.GetStep(), true, reserved
	s.turn.segment.steps++
	s.turn.segment.tokens += reserved

	cost := started.GetReservedCostMicros()
	s.turn.cost += cost
	s.turn.segment.cost += cost
	s.turn.segment.reservedCost = cost
}

func (s *state) say(event *eventv1.Event, said *eventv1.AgentMessage) {
	calls := make([]call, len(said.GetToolCalls()))
	for i, wish := range said.GetToolCalls() {
		calls[i] = call{ID: wish.GetCallId(), Tool: wish.GetTool(), Arguments: wish.GetArguments()}
		s.calls[wish.GetCallId()] = len(s.history)
	}

	s.history = append(s.history, message{Agent: event.GetAgent(), Text: said.GetText(), Calls: calls})
	s.settle(said.GetUsage())

	segment := &s.turn.segment
	segment.step, segment.open, segment.message = event.GetStep(), false, len(s.history)-1
	segment.finish = said.GetFinishReason()
	segment.repairing = false

	segment.empty++
	if said.GetText() != "" || len(calls) > 0 {
		segment.empty = 0
	}
}

// result keeps a call's first result.
func (s *state) result(came *eventv1.ToolResult) {
	if found := s.call(came.GetCallId()); found != nil && found.Result == nil {
		found.Result, found.Started = &result{Outcome: came.GetOutcome(), Output: came.GetOutput()}, false
	}
}

// settle replaces the last reservation by what the call really used.
func (s *state) settle(usage *eventv1.Usage) {
	turn, segment := &s.turn, &s.turn.segment

	turn.tokens -= segment.reserved
	segment.tokens -= segment.reserved
	segment.reserved = 0

	if usage != nil && usage.CostMicros != nil {
		turn.cost -= segment.reservedCost
		segment.cost -= segment.reservedCost
		segment.reservedCost = 0
	}

	s.spend(usage)
}

// spend counts what a call used, beside what is reserved.
func (s *state) spend(usage *eventv1.Usage) {
	turn, segment := &s.turn, &s.turn.segment

	turn.usage.InputTokens += usage.GetInputTokens()
	turn.usage.OutputTokens += usage.GetOutputTokens()
	turn.usage.CachedInputTokens += usage.GetCachedInputTokens()

	used := usage.GetInputTokens() + usage.GetOutputTokens()
	turn.tokens += used
	segment.tokens += used

	if usage == nil || usage.CostMicros == nil {
		return
	}

	turn.usage.CostMicros = new(turn.usage.GetCostMicros() + usage.GetCostMicros())
	turn.cost += usage.GetCostMicros()
	segment.cost += usage.GetCostMicros()
}

func (s *state) visit(agent string) {
	if len(s.turn.visited) == 0 {
		s.turn.visited = []*contextv1.Visit{{Agent: agent}}
	}
}

func (s *state) handOver(handoff *eventv1.Handoff) {
	handing, ok := s.calls[handoff.GetCallId()]
	if !ok {
		handing = len(s.history)
	}

	s.arrivals[handoff.GetToAgent()] = arrival{
		From: handoff.GetFromAgent(), Reason: handoff.GetReason(), Summary: handoff.GetSummary(),
		Mode: handoff.GetHistory().GetMode(), LastN: handoff.GetHistory().GetLastN(),
		User: s.turn.user, Handing: handing,
	}
	s.turn.visited = append(s.turn.visited, &contextv1.Visit{Agent: handoff.GetToAgent(), TaskDigest: handoff.GetTaskDigest()})
	s.turn.hops++
	s.turn.segment.handedTo = handoff.GetToAgent()
}
