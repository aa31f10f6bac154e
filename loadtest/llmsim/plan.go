package llmsim

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// plan is what to answer: calls, or a text.
type plan struct {
	calls []planned
	text  string
}

type planned struct {
	name      string
	arguments map[string]any
}

// maxParallel bounds how many lookups are made at once.
const maxParallel = 4

// planner decides one step. It is pure: the same request gives the same step.
type planner struct {
	chat     *chatRequest
	turn     turn
	now      time.Time
	draw     draw
	own      []candidate
	handoffs []candidate
}

func newPlanner(chat *chatRequest, now time.Time, draw draw) *planner {
	made := &planner{chat: chat, turn: readTurn(chat.Messages), now: now, draw: draw}

	for _, tool := range chat.Tools {
		candidate := newCandidate(tool.Function)
		if candidate.handoff {
			made.handoffs = append(made.handoffs, candidate)
		} else {
			made.own = append(made.own, candidate)
		}
	}

	return made
}

func (p *planner) plan() plan {
	mode, name := p.chat.choice()

	if len(p.chat.ResponseFormat.JSONSchema.Schema) > 0 || p.chat.ResponseFormat.Type == "json_object" {
		return plan{text: p.structured()}
	}

	switch {
	case mode == "none" || len(p.chat.Tools) == 0:
		return plan{text: p.answer()}
	case mode == "function":
		return p.forced(func(candidate candidate) bool { return candidate.Name == name })
	}

	words := p.turn.words
	if len(words) == 0 && p.turn.followsUp() || p.turn.followsUp() && p.best(p.own, words).score < enough {
		words = slices.Concat(words, p.turn.earlier)
	}

	if calls := p.next(words); len(calls) > 0 {
		return plan{calls: calls}
	}

	if mode == "required" {
		return p.forced(func(candidate) bool { return true })
	}

	return plan{text: p.answer()}
}

// forced calls the best of some tools, however badly it fits.
func (p *planner) forced(allowed func(candidate) bool) plan {
	best := p.best(slices.DeleteFunc(slices.Concat(p.own, p.handoffs), func(candidate candidate) bool {
		return !allowed(candidate)
	}), p.turn.words)
	if best.candidate == nil {
		return plan{text: p.answer()}
	}

	return plan{calls: []planned{p.call(*best.candidate)}}
}

// scored is a candidate with its score; the zero value is none.
type scored struct {
	candidate *candidate
	score     float64
}

func (p *planner) best(candidates []candidate, words []keyword) scored {
	best := scored{}

	for i := range candidates {
		if score := candidates[i].score(words); best.candidate == nil || score > best.score {
			best = scored{&candidates[i], score}
		}
	}

	return best
}

// next are the calls to make now, none if it is time to answer.
func (p *planner) next(words []keyword) []planned {
	if len(words) == 0 {
		return nil
	}

	left := p.turn.left(words, slices.Concat(p.own, p.handoffs))
	first := len(p.turn.done) == 0 || p.onlyHandoffs()

	if first {
		if handoff, sure := p.handoff(words, p.fit(words)); sure {
			return []planned{handoff}
		}
	}

	if calls := p.act(words); len(calls) > 0 {
		return calls
	}

	if calls := p.lookups(left); len(calls) > 0 {
		return calls
	}

	if !first {
		if handoff, sure := p.handoff(left, 0); sure {
			return []planned{handoff}
		}
	}

	return nil
}

// onlyHandoffs reports whether this turn's calls were all made to get here.
func (p *planner) onlyHandoffs() bool {
	return !slices.ContainsFunc(p.turn.done, func(done done) bool { return !strings.HasPrefix(done.name, handoffPrefix) })
}

// fit is how well the words fit this agent.
func (p *planner) fit(words []keyword) float64 {
	return max(p.best(p.own, words).score, promptScore(p.chat.system(), p.handoffs, words))
}

// handoff is the call that passes control to another agent, if one fits clearly better than this one.
func (p *planner) handoff(words []keyword, own float64) (planned, bool) {
	open := slices.DeleteFunc(slices.Clone(p.handoffs), func(other candidate) bool { return p.turn.called(other.Name) })

	best := p.best(open, words)
	if best.candidate == nil || best.score < passable || best.score <= own*clearly {
		return planned{}, false
	}

	return p.call(*best.candidate), true
}

// act is the next step towards what the message asks to be done: the action, or a lookup that it needs first.
func (p *planner) act(words []keyword) []planned {
	type wanted struct {
		candidate

		at int
	}

	asked := []wanted{}

	for _, candidate := range p.own {
		at, wants := candidate.asked(words)
		if candidate.acting && wants && candidate.score(words) >= enough && !p.turn.called(candidate.Name) {
			asked = append(asked, wanted{candidate, at})
		}
	}

	slices.SortStableFunc(asked, func(a, b wanted) int { return cmp.Compare(a.at, b.at) })

	for _, action := range asked {
		if calls := p.towards(action.candidate, words); len(calls) > 0 {
			return calls
		}
	}

	return nil
}

// towards looks before it acts.
func (p *planner) towards(action candidate, words []keyword) []planned {
	related := p.related(action, words)
	looked := slices.ContainsFunc(p.lookers(action), func(looker candidate) bool { return p.turn.called(looker.Name) })
	filled := p.fill(action)

	switch {
	case filled.known && (looked || len(related) == 0):
		return []planned{{action.Name, filled.arguments}}
	case len(related) > 0 && !looked:
		return []planned{related[0]}
	case !filled.known && len(p.lookers(action)) == 0:
		return []planned{{action.Name, filled.arguments}}
	default:
		return nil // what was found does not say what to act on
	}
}

// lookers are the lookups on an action's subject: they share a word of their names, such as the server's.
func (p *planner) lookers(action candidate) []candidate {
	found := []candidate{}

	for _, candidate := range p.own {
		shared := slices.ContainsFunc(candidate.subject, func(word string) bool {
			return slices.ContainsFunc(action.subject, func(other string) bool { return stem(word) == stem(other) })
		})
		if !candidate.acting && candidate.verb != "" && shared {
			found = append(found, candidate)
		}
	}

	return found
}

// related are lookups that could be made before an action, the best first. One that is given an id beats a list.
func (p *planner) related(action candidate, words []keyword) []planned {
	type option struct {
		planned

		score float64
	}

	options := []option{}

	for _, looker := range p.lookers(action) {
		filled := p.fill(looker)
		if !filled.known || p.turn.called(looker.Name) {
			continue
		}

		options = append(options, option{planned{looker.Name, filled.arguments}, looker.score(words) + filled.bonus})
	}

	slices.SortStableFunc(options, func(a, b option) int { return cmp.Compare(b.score, a.score) })

	calls := make([]planned, 0, len(options))
	for _, option := range options {
		calls = append(calls, option.planned)
	}

	return calls
}

// lookups are calls that only look, the best for each part of what is left to deal with.
func (p *planner) lookups(left []keyword) []planned {
	calls := []planned{}

	for len(calls) < maxParallel {
		best, chosen := scored{}, planned{}

		for i := range p.own {
			candidate := &p.own[i]
			if candidate.acting || p.turn.called(candidate.Name) || chosenAlready(calls, candidate.Name) {
				continue
			}

			filled := p.fill(*candidate)

			score := candidate.score(left)
			if score > 0 {
				score += filled.bonus
			}

			if filled.known && score >= enough && score > best.score {
				best, chosen = scored{candidate, score}, planned{candidate.Name, filled.arguments}
			}
		}

		if best.candidate == nil {
			return calls
		}

		calls = append(calls, chosen)
		left = best.candidate.uncovered(left)

		if p.chat.Parallel != nil && !*p.chat.Parallel {
			return calls
		}
	}

	return calls
}

func chosenAlready(calls []planned, name string) bool {
	return slices.ContainsFunc(calls, func(call planned) bool { return call.name == name })
}

func (p *planner) call(candidate candidate) planned {
	return planned{candidate.Name, p.fill(candidate).arguments}
}

func (p *planner) fill(candidate candidate) filled {
	return newFiller(p.turn, p.now, p.chat.system(), candidate).fill()
}

// structured answers a request for JSON.
func (p *planner) structured() string {
	candidate := newCandidate(function{Name: "answer", Parameters: p.chat.ResponseFormat.JSONSchema.Schema})

	body, err := json.Marshal(p.fill(candidate).arguments)
	if err != nil { // values came from JSON or are plain
		return "{}"
	}

	return string(body)
}
