package agent

import eventv1 "github.com/serinhq/serin/gen/serin/event/v1"

// saidAllowed is what the event about a decision says if the text may pass.
const saidAllowed = "allowed"

// verdict is what a rule with topics came to.
type verdict int

const (
	verdictNone verdict = iota
	verdictAllowed
	verdictDenied
	verdictUndecided
)

// verdictOf reads it from an event.
func verdictOf(applied *eventv1.GuardrailApplied) verdict {
	switch {
	case applied.GetAction() == eventv1.GuardrailApplied_ACTION_UNDECIDED:
		return verdictUndecided
	case applied.GetMessage() == saidAllowed:
		return verdictAllowed
	default:
		return verdictDenied
	}
}

// passed reports whether a text may go on after a verdict.
func (g *guard) passed(came verdict) bool {
	return came == verdictAllowed || came == verdictUndecided && g.checks.OnFailure == "open"
}

// checkKey names a rule of an agent.
func checkKey(agent, rule string) string { return agent + "/" + rule }

// guard folds what a guardrail did short of a stop.
func (s *state) guard(event *eventv1.Event, applied *eventv1.GuardrailApplied) {
	segment := &s.turn.segment

	switch applied.GetAction() {
	case eventv1.GuardrailApplied_ACTION_CHECKED, eventv1.GuardrailApplied_ACTION_UNDECIDED:
		s.spend(applied.GetUsage())
		s.checked(event.GetAgent(), applied)
	case eventv1.GuardrailApplied_ACTION_REDACTED:
		segment.hits += applied.GetHits()
	case eventv1.GuardrailApplied_ACTION_REPAIR:
		s.settle(applied.GetUsage())

		segment.step, segment.open = event.GetStep(), false
		segment.repaired, segment.repairing, segment.problem = true, true, applied.GetMessage()
	case eventv1.GuardrailApplied_ACTION_UNSPECIFIED:
	}
}

func (s *state) checked(agent string, applied *eventv1.GuardrailApplied) {
	if s.turn.checks == nil {
		s.turn.checks = map[string]int32{}
	}

	s.turn.checks[checkKey(agent, applied.GetRule())]++

	if applied.GetDirection() != eventv1.GuardrailTriggered_DIRECTION_INPUT {
		return
	}

	if s.turn.segment.verdicts == nil {
		s.turn.segment.verdicts = map[string]verdict{}
	}

	s.turn.segment.verdicts[applied.GetRule()] = verdictOf(applied)
}
