package contextstore

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// Tally is what a segment came to so far. It starts anew whenever the segment begins, restarts or resumes, and whenever
// the turn starts to wait for an agent or a human.
type Tally struct {
	// BeganAt is when it started; a restart on the same revision keeps it. Zero in turns of releases that did not count.
	BeganAt time.Time
	// FirstOutputAt is when the first durable text or tool call came; zero if none did.
	FirstOutputAt time.Time

	InputTokens, OutputTokens, CachedInputTokens int64
	// CostMicros is in millionths of a US dollar; of calls without a known price nothing is counted.
	CostMicros int64

	Steps, ToolCalls, ToolErrors, GuardrailHits int32
}

// TallyOf returns the tally that an outcome carries: the reverse of [Tally.Outcome].
func TallyOf(outcome *contextv1.Outcome) Tally {
	tally := Tally{
		InputTokens:       outcome.GetUsage().GetInputTokens(),
		OutputTokens:      outcome.GetUsage().GetOutputTokens(),
		CachedInputTokens: outcome.GetUsage().GetCachedInputTokens(),
		Steps:             outcome.GetSteps(), ToolCalls: outcome.GetToolCalls(), ToolErrors: outcome.GetToolErrors(),
		GuardrailHits: outcome.GetGuardrailHits(), CostMicros: outcome.GetCostMicros(),
	}

	if outcome.GetBeganAt() != nil {
		tally.BeganAt = outcome.GetBeganAt().AsTime()
	}

	if outcome.GetFirstOutput() != nil {
		tally.FirstOutputAt = tally.BeganAt.Add(outcome.GetFirstOutput().AsDuration())
	}

	return tally
}

// Outcome returns an outcome that carries the tally and nothing else.
func (t Tally) Outcome() *contextv1.Outcome {
	outcome := &contextv1.Outcome{
		Steps: t.Steps, ToolCalls: t.ToolCalls, ToolErrors: t.ToolErrors, GuardrailHits: t.GuardrailHits,
		CostMicros: t.CostMicros,
	}

	if !t.BeganAt.IsZero() {
		outcome.BeganAt = timestamp(t.BeganAt)
	}

	if !t.FirstOutputAt.IsZero() {
		outcome.FirstOutput = durationpb.New(t.FirstOutputAt.Sub(t.BeganAt))
	}

	if t.InputTokens != 0 || t.OutputTokens != 0 || t.CachedInputTokens != 0 {
		outcome.Usage = &eventv1.Usage{
			InputTokens: t.InputTokens, OutputTokens: t.OutputTokens, CachedInputTokens: t.CachedInputTokens,
		}
	}

	return outcome
}

// counting returns the tally after an event of the segment.
func (t Tally) counting(event *eventv1.Event, now time.Time) Tally {
	switch kind := event.GetKind().(type) {
	case *eventv1.Event_StepStarted:
		t.Steps++
	case *eventv1.Event_MessagePart:
		if kind.MessagePart.GetText() != "" {
			t = t.output(now)
		}
	case *eventv1.Event_AgentMessage:
		return t.message(kind.AgentMessage, now)
	case *eventv1.Event_ToolResult:
		t.ToolCalls++
		if kind.ToolResult.GetOutcome() == eventv1.ToolResult_OUTCOME_ERROR {
			t.ToolErrors++
		}
	case *eventv1.Event_GuardrailTriggered:
		t.GuardrailHits++
	case *eventv1.Event_GuardrailApplied:
		return t.used(kind.GuardrailApplied.GetUsage())
	}

	return t
}

// message counts a whole message.
func (t Tally) message(message *eventv1.AgentMessage, now time.Time) Tally {
	t = t.used(message.GetUsage())

	if message.GetText() != "" || len(message.GetToolCalls()) > 0 {
		t = t.output(now)
	}

	return t
}

// used counts what a model call used.
func (t Tally) used(usage *eventv1.Usage) Tally {
	t.InputTokens += usage.GetInputTokens()
	t.OutputTokens += usage.GetOutputTokens()
	t.CachedInputTokens += usage.GetCachedInputTokens()
	t.CostMicros += usage.GetCostMicros()

	return t
}

// output notes that something can be seen of the segment.
func (t Tally) output(now time.Time) Tally {
	if t.FirstOutputAt.IsZero() && !t.BeganAt.IsZero() {
		t.FirstOutputAt = now
	}

	return t
}
