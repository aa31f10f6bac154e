package agent

import (
	"fmt"

	"go.opentelemetry.io/otel/trace"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/telemetry"
)

// callModel reserves the budget in the log, asks the model and notes its answer.
func (x *execution) callModel(next callModel) error {
	x.emit(next.step, &eventv1.Event{Kind: &eventv1.Event_StepStarted{StepStarted: &eventv1.StepStarted{
		ReservedTokens: next.reserved, Model: x.rules.model, ReservedCostMicros: next.cost,
	}}})

	if next.redacted != nil {
		x.emit(next.step, &eventv1.Event{Kind: &eventv1.Event_GuardrailApplied{GuardrailApplied: next.redacted}})
	}

	cited := x.cite(next.step)

	if err := x.flush(); err != nil {
		return err
	}

	cited()

	id := x.messageID(next.step)

	answer, err := x.stream(next, id)
	if err != nil {
		return err
	}

	return x.take(next.step, id, answer)
}

// messageID differs for each attempt: a message that was cut off is another one.
func (x *execution) messageID(step int32) string {
	turn := x.tenure.lease.GetTurn()

	return fmt.Sprintf("%s-%d-%d-e%d", turn.GetTurnId(), turn.GetSegment(), step, turn.GetEpoch())
}

// take notes the model's answer, unless an output guardrail stops it or has it written once more.
func (x *execution) take(step int32, id string, answer *answer) error {
	if again, err := x.guardAnswer(step, answer); again || err != nil {
		return err
	}

	turn := x.tenure.lease.GetTurn()
	for i, call := range answer.calls {
		call.CallId = fmt.Sprintf("%s-%d-%d-%d", turn.GetTurnId(), turn.GetSegment(), step, i+1)
	}

	x.emit(step, &eventv1.Event{Kind: &eventv1.Event_AgentMessage{AgentMessage: &eventv1.AgentMessage{
		MessageId: id, Text: answer.text, ToolCalls: answer.calls, FinishReason: answer.finish,
		Usage: answer.usage, Model: answer.model, Provider: answer.provider, Simulated: answer.simulated,
	}}})

	return nil
}

// guardAnswer fails if an output guardrail stops the answer; again says that the model is asked to write it once more.
// Rules that cost nothing come first.
func (x *execution) guardAnswer(step int32, answer *answer) (again bool, err error) {
	const direction = eventv1.GuardrailTriggered_DIRECTION_OUTPUT

	if answer.text == "" {
		return false, nil
	}

	if guard := check(x.rules.output, answer.text); guard != nil {
		x.state.settle(answer.usage)

		return false, &failure{blocked(guard, direction)}
	}

	if again, err := x.checkForm(step, answer); again || err != nil {
		return again, err
	}

	for i := range x.rules.output {
		if guard := &x.rules.output[i]; len(guard.topics) > 0 {
			if err := x.judge(step, guard, direction, answer.text); err != nil {
				x.state.settle(answer.usage)

				return false, err
			}
		}
	}

	return false, nil
}

// settle notes results that no tool had to find.
func (x *execution) settle(next settle) {
	for _, settled := range next.results {
		x.emit(x.step(), resultEvent(settled))
	}
}

func resultEvent(settled settled) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_ToolResult{ToolResult: &eventv1.ToolResult{
		CallId: settled.call.ID, Tool: settled.call.Tool, Outcome: settled.outcome, Output: settled.output,
	}}}
}

func (x *execution) step() int32 { return x.state.turn.segment.step }

// askHumans asks all questions at once and gives the lease away with the same append.
func (x *execution) askHumans(next askHumans) error {
	waiting := &eventv1.TurnWaiting{}

	for _, question := range next.questions {
		waiting.CallIds = append(waiting.CallIds, question.GetCallId())
		x.emit(x.step(), &eventv1.Event{Kind: &eventv1.Event_InputRequested{InputRequested: question}})
	}

	x.emit(x.step(), &eventv1.Event{Kind: &eventv1.Event_TurnWaiting{TurnWaiting: waiting}})

	return x.flush()
}

// handOff moves control in the log; [Service.passOn] tells the next agent.
func (x *execution) handOff(next handOff) error {
	x.emit(x.step(), resultEvent(settled{
		call: next.call, outcome: eventv1.ToolResult_OUTCOME_OK, output: passed(next.handoff.GetToAgent()),
	}), &eventv1.Event{Kind: &eventv1.Event_Handoff{Handoff: next.handoff}})

	return x.flush()
}

// end writes the turn's last event.
func (x *execution) end(next action) handoffv1.Finished_Outcome {
	outcome := handoffv1.Finished_OUTCOME_FAILED

	switch next := next.(type) {
	case finish:
		outcome = handoffv1.Finished_OUTCOME_COMPLETED
		x.emit(x.step(), &eventv1.Event{Kind: &eventv1.Event_TurnCompleted{TurnCompleted: &eventv1.TurnCompleted{
			Text: next.text, Usage: x.state.turn.usage, Steps: x.state.turn.steps,
		}}})
	case cancel:
		outcome = handoffv1.Finished_OUTCOME_CANCELLED
		x.emit(x.step(), &eventv1.Event{Kind: &eventv1.Event_TurnCancelled{TurnCancelled: &eventv1.TurnCancelled{
			By: next.by, Reason: next.reason, Usage: x.state.turn.usage,
		}}})
	case fail:
		x.failed(next)
	}

	if err := x.flush(); err != nil {
		x.logger.WarnContext(x.life, "the turn's end could not be written", "error", err)

		return handoffv1.Finished_OUTCOME_SUPERSEDED
	}

	if !x.state.turn.accepted.IsZero() {
		x.service.metrics.turn(x.life, x.state.turn.accepted, segmentLabel(outcome))
	}

	return outcome
}

func (x *execution) failed(next fail) {
	telemetry.Failed(trace.SpanFromContext(x.life), next.reason)

	if next.guard != nil {
		x.emit(x.step(), &eventv1.Event{Kind: &eventv1.Event_GuardrailTriggered{GuardrailTriggered: next.guard}})
	}

	x.emit(x.step(), &eventv1.Event{Kind: &eventv1.Event_TurnFailed{TurnFailed: &eventv1.TurnFailed{
		Reason: next.reason, Message: next.message, Usage: x.state.turn.usage,
	}}})
}
