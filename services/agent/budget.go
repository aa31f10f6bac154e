package agent

import (
	"fmt"
	"strings"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// exhausted says which budget has no room for another model call that reserves so many tokens; empty if all have.
// The turn's budget counts from the user's message on, the agent's own from the beginning of its segment.
func exhausted(s *state, r *rules, reserve int64) string {
	segment := &s.turn.segment

	switch {
	case over(int64(s.turn.steps)+1, int64(s.turn.budget.GetSteps())):
		return fmt.Sprintf("the turn used its %d model calls", s.turn.budget.GetSteps())
	case over(int64(segment.steps)+1, int64(r.budgets.Steps)):
		return fmt.Sprintf("%s used its %d model calls (spec.budgets.steps)", r.agent, r.budgets.Steps)
	default:
		return outOfTokens(s, r, reserve)
	}
}

// outOfTokens says which budget has no room for so many tokens; empty if all have.
func outOfTokens(s *state, r *rules, reserve int64) string {
	segment := &s.turn.segment

	switch {
	case over(s.turn.tokens+reserve, s.turn.budget.GetTokens()):
		return fmt.Sprintf("the turn used %d of its %d tokens, and the next model call may need %d",
			s.turn.tokens, s.turn.budget.GetTokens(), reserve)
	case over(segment.tokens+reserve, r.budgets.Tokens):
		return fmt.Sprintf("%s used %d of its %d tokens (spec.budgets.tokens), and the next model call may need %d",
			r.agent, segment.tokens, r.budgets.Tokens, reserve)
	default:
		return ""
	}
}

// unaffordable says why another model call that reserves so many millionths of a US dollar can't be paid for; empty if it
// can. A cost budget without a price to reckon with allows nothing: it would be none.
func unaffordable(s *state, r *rules, reserve int64) string {
	segment := &s.turn.segment

	switch {
	case !limitsCost(s, r):
		return ""
	case r.prices.missing != "":
		return fmt.Sprintf("the turn has a cost budget and no price is known of %s: add it to the ambassador's price file "+
			"(LLM_PRICES_FILE), or take spec.budgets.costUSD away", r.prices.missing)
	case over(s.turn.cost+reserve, s.turn.budget.GetCostMicros()):
		return fmt.Sprintf("the turn used %s of its %s, and the next model call may cost %s",
			dollars(s.turn.cost), dollars(s.turn.budget.GetCostMicros()), dollars(reserve))
	case over(segment.cost+reserve, r.costMicros):
		return fmt.Sprintf("%s used %s of its %s (spec.budgets.costUSD), and the next model call may cost %s",
			r.agent, dollars(segment.cost), dollars(r.costMicros), dollars(reserve))
	default:
		return ""
	}
}

// dollars is an amount as people read it: millionths matter, zeros at the end do not.
func dollars(micros int64) string {
	text := strings.TrimRight(fmt.Sprintf("%d.%06d", micros/1e6, micros%1e6), "0")
	whole, fraction, _ := strings.Cut(text, ".")

	return "$" + whole + "." + fraction + strings.Repeat("0", max(0, 2-len(fraction)))
}

// nothingFor says which budget leaves the next agent nothing to work with; empty if none does. The next agent works
// within what is left of the turn's budget and of the handing agent's own.
func nothingFor(s *state, r *rules, to string) string {
	segment := &s.turn.segment

	switch {
	case over(int64(segment.steps)+1, int64(r.budgets.Steps)):
		return fmt.Sprintf("%s used its model calls: spec.budgets.steps: %d leaves nothing for %s", r.agent, r.budgets.Steps, to)
	case over(int64(s.turn.steps)+1, int64(s.turn.budget.GetSteps())):
		return fmt.Sprintf("the turn used its %d model calls and has nothing left for %s", s.turn.budget.GetSteps(), to)
	case over(segment.tokens+1, r.budgets.Tokens):
		return fmt.Sprintf("%s used %d tokens: spec.budgets.tokens: %d leaves nothing for %s",
			r.agent, segment.tokens, r.budgets.Tokens, to)
	case over(s.turn.tokens+1, s.turn.budget.GetTokens()):
		return fmt.Sprintf("the turn used %d of its %d tokens and has nothing left for %s",
			s.turn.tokens, s.turn.budget.GetTokens(), to)
	case over(segment.cost+1, r.costMicros):
		return fmt.Sprintf("%s used %s: spec.budgets.costUSD: %s leaves nothing for %s",
			r.agent, dollars(segment.cost), dollars(r.costMicros), to)
	case over(s.turn.cost+1, s.turn.budget.GetCostMicros()):
		return fmt.Sprintf("the turn used %s of its %s and has nothing left for %s",
			dollars(s.turn.cost), dollars(s.turn.budget.GetCostMicros()), to)
	default:
		return ""
	}
}

// over reports whether a use is beyond a limit; a limit of 0 is none.
func over(use, limit int64) bool { return limit > 0 && use > limit }

// remaining is what the next agents may still use of this agent's own budgets. As 0 would mean no limit, it may be asked
// for only where [nothingFor] says that something is left.
func remaining(s *state, r *rules) *eventv1.Budget {
	left := &eventv1.Budget{Hops: r.budgets.Hops}
	if r.budgets.Steps > 0 {
		left.Steps = r.budgets.Steps - s.turn.segment.steps
	}

	if r.budgets.Tokens > 0 {
		left.Tokens = r.budgets.Tokens - s.turn.segment.tokens
	}

	if r.costMicros > 0 {
		left.CostMicros = r.costMicros - s.turn.segment.cost
	}

	return left
}

// deadline is when the segment must have ended: at the turn's deadline, or when the agent's own time for the segment is
// over, if that is earlier. Time that humans took does not count.
func (s *state) deadline(r *rules, turn time.Time) time.Time {
	segment := &s.turn.segment
	if r.budgets.Deadline <= 0 || segment.started.IsZero() {
		return turn
	}

	own := segment.started.Add(time.Duration(r.budgets.Deadline) + segment.waited)
	if turn.IsZero() || own.Before(turn) {
		return own
	}

	return turn
}

// turnDeadline is zero if a turn has none.
func turnDeadline(turn *contextv1.Turn) time.Time {
	if turn.GetDeadline() == nil {
		return time.Time{}
	}

	return turn.GetDeadline().AsTime()
}
