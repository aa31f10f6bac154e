package agent

import (
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
)

// action is what to do next; exactly one of the types below.
type action interface{ isAction() }

type (
	// callModel asks the model for the next message.
	callModel struct {
		step     int32
		reserved int64
		// cost is reserved, too, in millionths of a US dollar; 0 where no budget limits it.
		cost   int64
		system string
		prompt []chat
		// veil is what hides personal data in them; nil hides nothing. redacted tells of values that no event told of.
		veil     *veil
		redacted *eventv1.GuardrailApplied
	}
	// consult asks the retriever and the memory before the first prompt is made.
	consult struct{}
	// classify has a model decide whether the user's message is about a denied topic.
	classify struct{ guard *guard }
	// settle records results of calls that no tool ran.
	settle struct{ results []settled }
	// runCalls runs calls side by side.
	runCalls struct{ calls []call }
	// useMemory runs calls of the tools that memory brings.
	useMemory struct{ calls []call }
	// askHumans ends the lease until humans have answered.
	askHumans struct{ questions []*eventv1.InputRequested }
	// handOff passes control.
	handOff struct {
		call    call
		handoff *eventv1.Handoff
	}
	// finish ends the turn with the answer.
	finish struct{ text string }
	// fail ends the turn with an error.
	fail struct {
		reason  string
		message string
		guard   *eventv1.GuardrailTriggered
	}
	// cancel ends the turn on request.
	cancel struct{ cancellation }
	// stop leaves the turn alone: nothing is left to do for this agent.
	stop struct{ outcome handoffv1.Finished_Outcome }
)

func (callModel) isAction() {}
func (consult) isAction()   {}
func (classify) isAction()  {}
func (settle) isAction()    {}
func (runCalls) isAction()  {}
func (useMemory) isAction() {}
func (askHumans) isAction() {}
func (handOff) isAction()   {}
func (finish) isAction()    {}
func (fail) isAction()      {}
func (cancel) isAction()    {}
func (stop) isAction()      {}

// settled is a call with a result that the agent itself found.
type settled struct {
	call    call
	outcome eventv1.ToolResult_Outcome
	output  string
}

// The reasons of turn_failed.
const (
	reasonDeadline  = "DEADLINE_EXCEEDED"
	reasonBudget    = "BUDGET_EXHAUSTED"
	reasonCycle     = "HANDOFF_CYCLE"
	reasonHops      = "TOO_MANY_HOPS"
	reasonGuardrail = "GUARDRAIL_BLOCKED"
	reasonProvider  = "PROVIDER_ERROR"
	reasonInternal  = "INTERNAL"
)
