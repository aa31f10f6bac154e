package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// The most bytes of a handoff's texts.
const (
	maxReason  = 8192
	maxSummary = 65536
)

// wish is what a model writes when it hands over.
type wish struct {
	Reason  string `json:"reason"`
	Summary string `json:"summary"`
}

// decideHandoff passes control, unless that would be a cycle, one hop too many, or beyond the budget.
func decideHandoff(s *state, r *rules, c call) action {
	route, _ := r.route(c.Tool)

	var wish wish
	if err := json.Unmarshal([]byte(c.Arguments), &wish); err != nil {
		return settle{results: []settled{{
			call: c, outcome: eventv1.ToolResult_OUTCOME_ERROR, output: "reason and summary must be strings. Write them again.",
		}}}
	}

	task := taskDigest(route.agent, wish.Reason, s.turn.text)

	if failed := mayPass(s, route.agent, task); failed != nil {
		return *failed
	}

	if message := nothingFor(s, r, route.agent); message != "" {
		return fail{reason: reasonBudget, message: message}
	}

	handoff := &eventv1.Handoff{
		FromAgent: r.agent, ToAgent: route.agent, CallId: c.ID, TaskDigest: task, History: route.history,
		Reason: cut(wish.Reason, maxReason), Summary: cut(wish.Summary, maxSummary), Remaining: remaining(s, r),
	}
	handoff.ContextDigest = contextDigest(s, handoff)

	return handOff{call: c, handoff: handoff}
}

func mayPass(s *state, to, task string) *fail {
	if limit := s.turn.budget.GetHops(); limit > 0 && s.turn.hops >= limit {
		return &fail{reason: reasonHops, message: fmt.Sprintf(
			"the turn passed through %s and may not pass to %s: at most %d handoffs are allowed", s.way(), to, limit)}
	}

	for _, visit := range s.turn.visited {
		if visit.GetAgent() == to && visit.GetTaskDigest() == task {
			return &fail{reason: reasonCycle, message: fmt.Sprintf(
				"the turn went %s and would go to %s with the same task again", s.way(), to)}
		}
	}

	return nil
}

// way is the agents that the turn passed through, as people read them.
func (s *state) way() string {
	names := make([]string, len(s.turn.visited))
	for i, visit := range s.turn.visited {
		names[i] = visit.GetAgent()
	}

	return strings.Join(names, " -> ")
}

// taskDigest names what a task is: spelling of case and blanks does not make it another one.
func taskDigest(to, reason, text string) string {
	sum := sha256.Sum256([]byte(to + "\x00" + normal(reason) + "\x00" + normal(text)))

	return hex.EncodeToString(sum[:])
}

func normal(text string) string { return strings.Join(strings.Fields(strings.ToLower(text)), " ") }

// contextDigest is the digest of the history as the next agent will read it, the handoff's own result included.
func contextDigest(s *state, handoff *eventv1.Handoff) string {
	handing := s.calls[handoff.GetCallId()]
	history := slices.Clone(s.history)
	history[handing].Calls = slices.Clone(history[handing].Calls)

	for i := range history[handing].Calls {
		if call := &history[handing].Calls[i]; call.ID == handoff.GetCallId() {
			call.Result = &result{Outcome: eventv1.ToolResult_OUTCOME_OK, Output: passed(handoff.GetToAgent())}
		}
	}

	next := arrival{
		Mode: handoff.GetHistory().GetMode(), LastN: handoff.GetHistory().GetLastN(), User: s.turn.user, Handing: handing,
	}
	peek := &state{history: history, arrivals: map[string]arrival{handoff.GetToAgent(): next}}

	return digest(peek.prompt(handoff.GetToAgent()))
}

// passed is what the model that handed over reads.
func passed(to string) string { return "Control passed to " + to + "." }

// cut shortens a text to at most limit bytes without splitting a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}

	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}

	return text[:limit]
}
