package llmsim

import (
	"slices"
	"strings"
)

// turn is what a request is about: the latest user message and what was done since.
type turn struct {
	// text is the latest user message; words are its keywords, earlier those of the user messages before it.
	text    string
	words   []keyword
	earlier []keyword
	// prior are texts of the user before the latest one, for values.
	prior string
	// done are the calls since then with their results, in order.
	done []done
	// records are the objects in tool results: those of this turn, or earlier ones if this turn has none.
	records []record
}

// done is a call with its result.
type done struct {
	name, arguments, result string
	answered                bool
}

// earlierWeight is how much a word of the previous user message counts; it halves with each one before.
const earlierWeight = 0.5

func readTurn(messages []message) turn {
	latest := -1

	for i, message := range messages {
		if message.Role == "user" {
			latest = i
		}
	}

	read := turn{}
	if latest >= 0 {
		read.text = string(messages[latest].Content)
	}

	read.words = keywords(read.text)
	read.readEarlier(messages[:max(latest, 0)])
	read.done = calls(messages[latest+1:])
	read.records = records(read.done)

	if len(read.records) == 0 {
		read.records = records(calls(messages))
	}

	return read
}

func (t *turn) readEarlier(messages []message) {
	seen, weight := map[string]bool{}, earlierWeight
	texts := []string{}

	for _, earlier := range slices.Backward(messages) {
		if earlier.Role != "user" {
			continue
		}

		texts = append(texts, string(earlier.Content))

		for _, word := range keywords(string(earlier.Content)) {
			if !seen[word.stem] {
				seen[word.stem] = true
				word.weight *= weight
				t.earlier = append(t.earlier, word)
			}
		}

		weight /= 2
	}

	t.prior = strings.Join(texts, "\n")
}

// calls pairs tool calls with their results.
func calls(messages []message) []done {
	made := []done{}
	index := map[string]int{}

	for _, message := range messages {
		for _, call := range message.ToolCalls {
			index[call.ID] = len(made)
			made = append(made, done{name: call.Function.Name, arguments: call.Function.Arguments})
		}

		if at, known := index[message.ToolCallID]; known && message.Role == "tool" {
			made[at].result, made[at].answered = string(message.Content), true
		}
	}

	return made
}

// called reports whether a tool was called in this turn.
func (t *turn) called(name string) bool {
	for _, done := range t.done {
		if done.name == name {
			return true
		}
	}

	return false
}

// left are the words that no call of this turn has dealt with.
func (t *turn) left(words []keyword, candidates []candidate) []keyword {
	for _, done := range t.done {
		known := newCandidate(function{Name: done.name})

		for _, candidate := range candidates {
			if candidate.Name == done.name {
				known = candidate
			}
		}

		words = known.uncovered(words)
	}

	return words
}

// assents are messages that only make sense with what was said before.
var assents = set("yes yeah yep ok okay sure please correct right exactly do it go ahead first second third that one")

// followsUp reports whether the message only answers a question.
func (t *turn) followsUp() bool {
	words := split(t.text)
	if len(words) == 0 || len(words) > 8 {
		return false
	}

	for _, word := range words {
		if assents[word] {
			return true
		}
	}

	return false
}
