package agent

import (
	"cmp"
	"fmt"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
)

// bytesPerToken estimates prompts; it is low for prose on purpose, so that reservations err on the safe side.
const bytesPerToken = 4

// Why a model stopped without having said all, in OpenAI's words.
const (
	finishLength = "length"
	finishFilter = "content_filter"
)

// decide returns the next action of the agent's segment. The same state and rules always give the same action.
func decide(s *state, r *rules) action {
	segment := &s.turn.segment

	switch {
	case s.turn.ended:
		return stop{outcome: handoffv1.Finished_OUTCOME_SUPERSEDED}
	case segment.handedTo != "":
		return stop{outcome: handoffv1.Finished_OUTCOME_HANDED_OFF}
	case s.turn.cancel != nil:
		return cancel{cancellation: *s.turn.cancel}
	case segment.repairing && !segment.open:
		return model(s, r, segment.step+1)
	case segment.message < 0 && !segment.open:
		return first(s, r)
	case segment.open:
		return model(s, r, segment.step)
	case segment.finish == finishFilter:
		return fail{reason: reasonProvider, message: "the provider withheld the answer (content_filter)"}
	}

	if next := decideCalls(s, r); next != nil {
		return next
	}

	return afterMessage(s, r)
}

// first is the segment's first action: nothing reaches the model, and no tool runs, that the input guardrails stop.
func first(s *state, r *rules) action {
	if guard := check(r.input, s.turn.text); guard != nil {
		return blocked(guard, eventv1.GuardrailTriggered_DIRECTION_INPUT)
	}

	for i := range r.input {
		if guard := &r.input[i]; len(guard.topics) > 0 && !guard.passed(s.turn.segment.verdicts[guard.name]) {
			return decideTopics(s, guard)
		}
	}

	return model(s, r, 1)
}

// decideTopics has a rule decided about, unless the log says that it stopped the text: the process that wrote so did not
// get to end the turn.
func decideTopics(s *state, guard *guard) action {
	if s.turn.segment.verdicts[guard.name] == verdictDenied {
		return blocked(guard, eventv1.GuardrailTriggered_DIRECTION_INPUT)
	}

	return classify{guard: guard}
}

// afterMessage follows a message whose calls, if it has any, all have results.
func afterMessage(s *state, r *rules) action {
	segment := &s.turn.segment

	switch {
	case len(s.current()) > 0:
		return model(s, r, segment.step+1)
	case segment.finish == finishLength:
		return fail{reason: reasonProvider, message: fmt.Sprintf(
			"the answer was cut at %d tokens (spec.model.maxOutputTokens)", r.maxOutput)}
	case segment.empty == 1:
		return model(s, r, segment.step+1)
	case segment.empty > 1:
		return fail{reason: reasonProvider, message: "the model answered with nothing, twice; try again or ask differently"}
	default:
		return finish{text: s.answer()}
	}
}

func blocked(guard *guard, direction eventv1.GuardrailTriggered_Direction) fail {
	return fail{
		reason: reasonGuardrail, message: guard.message,
		guard: &eventv1.GuardrailTriggered{Rule: guard.name, Direction: direction, Message: guard.message},
	}
}

// model is the next model call, if the budgets have room for it.
func model(s *state, r *rules, step int32) action {
	if r.library.due() || r.memory.due() {
		return consult{}
	}

	veil := r.veil(s)

	system := r.system
	if note := s.note(r.agent); note != "" {
		system += "\n\n" + veil.text(note)
	}

	system += r.library.reference(s.turn.id, veil) + r.memory.reference(s.turn.id, veil)
	prompt := append(veil.chats(s.prompt(r.agent)), s.repair(veil)...)
	input := int64(len(system)+size(prompt)+r.tools.bytes+r.memory.bytes)/bytesPerToken + 1
	reserved, cost := input+r.maxOutput, int64(0)

	if limitsCost(s, r) {
		cost = r.prices.reserve(input, r.maxOutput)
	}

	if message := cmp.Or(exhausted(s, r, reserved), unaffordable(s, r, cost)); message != "" {
		return fail{reason: reasonBudget, message: message}
	}

	return callModel{step: step, reserved: reserved, cost: cost, system: system, prompt: prompt, veil: veil, redacted: veil.told(s)}
}
