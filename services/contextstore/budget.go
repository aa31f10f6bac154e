package contextstore

import (
	"google.golang.org/protobuf/proto"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// narrow returns the budget that is left to a turn when control passes on: per kind the smaller of what it was and of
// what is spent plus what the handing agent has remaining. Zero means no limit.
func narrow(budget, spent, remaining *eventv1.Budget) *eventv1.Budget {
	return &eventv1.Budget{
		Steps:      smaller(budget.GetSteps(), spent.GetSteps(), remaining.GetSteps()),
		Tokens:     smaller(budget.GetTokens(), spent.GetTokens(), remaining.GetTokens()),
		CostMicros: smaller(budget.GetCostMicros(), spent.GetCostMicros(), remaining.GetCostMicros()),
		Hops:       smaller(budget.GetHops(), spent.GetHops(), remaining.GetHops()),
	}
}

func smaller[T int32 | int64](limit, spent, remaining T) T {
	switch {
	case remaining == 0:
		return limit
	case limit == 0:
		return spent + remaining
	default:
		return min(limit, spent+remaining)
	}
}

// reserve takes a step, its tokens and its cost out of the budget before the model is called.
func (t *Turn) reserve(event *eventv1.Event) {
	tokens, cost := event.GetStepStarted().GetReservedTokens(), event.GetStepStarted().GetReservedCostMicros()
	t.Spent.Steps++
	t.Spent.Tokens += tokens
	t.Spent.CostMicros += cost
	t.Reserved = Reservation{Segment: event.GetSegment(), Step: event.GetStep(), Tokens: tokens, CostMicros: cost}
}

// settle replaces a step's reservation by what it used. The reservation of a step that was lost stays spent: its model
// call may have been paid for. So does a reserved cost while nobody knows what the call did cost.
func (t *Turn) settle(event *eventv1.Event, usage *eventv1.Usage) {
	if t.Reserved.Segment == event.GetSegment() && t.Reserved.Step == event.GetStep() {
		t.Spent.Tokens -= t.Reserved.Tokens

		if usage != nil && usage.CostMicros != nil {
			t.Spent.CostMicros -= t.Reserved.CostMicros
		}

		t.Reserved = Reservation{}
	}

	t.spend(usage)
}

// spend books what was used.
func (t *Turn) spend(usage *eventv1.Usage) {
	t.Spent.Tokens += usage.GetInputTokens() + usage.GetOutputTokens()
	t.Spent.CostMicros += usage.GetCostMicros()
}

// clone returns a row that shares nothing with t.
func (t *Turn) clone() Turn {
	own := *t
	own.Turn = proto.CloneOf(t.Turn)

	return own
}
