package app

import (
	"fmt"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// usageOf adds up what the turns that ended used, and counts them.
func usageOf(events []*eventv1.Event) (sum *eventv1.Usage, turns int) {
	sum = &eventv1.Usage{}

	for _, event := range events {
		used, ended := usageAtEnd(event)
		if !ended {
			continue
		}

		turns++
		sum.InputTokens += used.GetInputTokens()
		sum.OutputTokens += used.GetOutputTokens()
		sum.CachedInputTokens += used.GetCachedInputTokens()

		if used != nil && used.CostMicros != nil {
			sum.CostMicros = new(sum.GetCostMicros() + used.GetCostMicros())
		}
	}

	return sum, turns
}

// usageAtEnd returns what a turn used if the event is its end.
func usageAtEnd(event *eventv1.Event) (used *eventv1.Usage, ended bool) {
	switch kind := event.GetKind().(type) {
	case *eventv1.Event_TurnCompleted:
		return kind.TurnCompleted.GetUsage(), true
	case *eventv1.Event_TurnFailed:
		return kind.TurnFailed.GetUsage(), true
	case *eventv1.Event_TurnCancelled:
		return kind.TurnCancelled.GetUsage(), true
	default:
		return nil, false
	}
}

// usageText is a line such as "2 turns, 310 tokens in (40 cached), 25 out, $0.0012".
func usageText(sum *eventv1.Usage, turns int) string {
	text := count(turns, "turn") + fmt.Sprintf(", %d tokens in", sum.GetInputTokens())
	if cached := sum.GetCachedInputTokens(); cached > 0 {
		text += fmt.Sprintf(" (%d cached)", cached)
	}

	text += fmt.Sprintf(", %d out", sum.GetOutputTokens())
	if sum.CostMicros == nil {
		return text + ", no price known"
	}

	return text + ", " + dollars(float64(sum.GetCostMicros())/1e6)
}

// dollars is an amount as people are shown it.
func dollars(amount float64) string { return fmt.Sprintf("$%.4f", amount) }
