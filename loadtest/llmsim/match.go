package llmsim

import (
	"slices"
	"strings"
)

// How much a message's word counts where it meets a tool's: in its name, its description or its parameters; and as a
// synonym there.
const (
	inName, inNameAlike               = 1.0, 0.8
	inDescription, inDescriptionAlike = 0.6, 0.4
	inParameters, inParametersAlike   = 0.3, 0.2
	inPrompt, inPromptAlike           = 0.4, 0.3
	// enough is the score from which a tool is worth calling: one word of its name, or two of its description.
	enough = 0.79
	// passable is the score from which another agent may be worth a handoff: one word of its description.
	passable = 0.59
	// clearly is how much better another agent must fit for a handoff.
	clearly = 1.25
)

const handoffPrefix = "handoff_to_"

// candidate is a tool that could be called, with what is known of it.
type candidate struct {
	function

	handoff bool
	// verb is the stem of what it does; acting says that this changes something.
	verb   string
	acting bool
	// subject are the name's words that are not the verb.
	subject []string

	vocabulary map[string]float64
	alike      map[string]float64
}

func newCandidate(function function) candidate {
	made := candidate{function: function, vocabulary: map[string]float64{}, alike: map[string]float64{}}

	name, isHandoff := strings.CutPrefix(function.Name, handoffPrefix)
	made.handoff = isHandoff

	made.learn(keywords(name), inName, inNameAlike)
	made.learn(keywords(function.Description), inDescription, inDescriptionAlike)

	properties, _ := function.Parameters["properties"].(map[string]any)
	for property := range properties {
		if !isHandoff {
			made.learn(keywords(property), inParameters, inParametersAlike)
		}
	}

	made.readVerb(name)

	return made
}

func (c *candidate) learn(words []keyword, strength, alike float64) {
	for _, word := range words {
		c.vocabulary[word.stem] = max(c.vocabulary[word.stem], strength)

		if word.concept != "" {
			c.alike[word.concept] = max(c.alike[word.concept], alike)
		}
	}
}

// readVerb finds what the tool does: a verb in its name, else the description's first word. What has none only looks.
func (c *candidate) readVerb(name string) {
	words := split(name)

	at := slices.IndexFunc(words, func(word string) bool { return lookupVerbs[stem(word)] })
	if at < 0 {
		// The last one: what comes before is often the name of a server, as in booking_cancel.
		for i, word := range words {
			if actingVerbs[stem(word)] {
				at, c.acting = i, true
			}
		}
	}

	if at >= 0 {
		c.verb = stem(words[at])
		c.subject = slices.Delete(words, at, at+1)

		return
	}

	c.subject = words

	if first := split(c.Description); len(first) > 0 && actingVerbs[stem(first[0])] {
		c.verb, c.acting = stem(first[0]), true
	}
}

// score says how well the words fit the candidate.
func (c *candidate) score(words []keyword) float64 {
	sum := 0.0
	for _, word := range words {
		sum += c.fit(word)
	}

	return sum
}

func (c *candidate) fit(word keyword) float64 {
	fit := c.vocabulary[word.stem]
	if word.concept != "" {
		fit = max(fit, c.alike[word.concept])
	}

	return fit * word.weight
}

// asked reports whether the words ask for what an acting tool does, and where in the text. A word that means much the
// same does too, unless the user only wants to see something or it names a thing rather than an action.
func (c *candidate) asked(words []keyword) (int, bool) {
	looks := slices.ContainsFunc(words, func(word keyword) bool { return lookupVerbs[word.stem] })

	for _, word := range words {
		alike := !looks && !things[word.stem] && word.concept != "" && word.concept == concepts[c.verb]
		if word.stem == c.verb || alike {
			return word.at, true
		}
	}

	return 0, false
}

// things share a concept with actions, but nobody asks for an action by naming them.
var things = stems("slot calendar availability schedule invoice bill billing charge payment receipt order mail email password account")

// uncovered are the words that the candidate says nothing about.
func (c *candidate) uncovered(words []keyword) []keyword {
	left := []keyword{}

	for _, word := range words {
		if c.fit(word) < inDescriptionAlike*word.weight {
			left = append(left, word)
		}
	}

	return left
}

// promptScore says how well the words fit an agent's own system prompt. Sentences about others do not count.
func promptScore(prompt string, handoffs []candidate, words []keyword) float64 {
	own := candidate{vocabulary: map[string]float64{}, alike: map[string]float64{}}

	for sentence := range strings.FieldsFuncSeq(prompt, func(char rune) bool { return strings.ContainsRune(".!?;\n", char) }) {
		if !aboutOthers(strings.ToLower(sentence), handoffs) {
			own.learn(keywords(sentence), inPrompt, inPromptAlike)
		}
	}

	return own.score(words)
}

func aboutOthers(sentence string, handoffs []candidate) bool {
	for _, word := range []string{"hand ", "handoff", "transfer", "route", "pass ", "forward", "delegate", "specialist"} {
		if strings.Contains(sentence, word) {
			return true
		}
	}

	return slices.ContainsFunc(handoffs, func(other candidate) bool {
		return strings.Contains(sentence, strings.ToLower(strings.TrimPrefix(other.Name, handoffPrefix)))
	})
}
