package agent

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/serinhq/serin/internal/agentspec"
)

// guard is one compiled guardrail.
type guard struct {
	name      string
	message   string
	maxLength int
	pattern   *regexp.Regexp
	words     []string
	// topics are decided about by a classifier; checks says how.
	topics []agentspec.Topic
	checks agentspec.Classifier
}

// compileGuards fails on a pattern that is not RE2.
func compileGuards(field string, specs []agentspec.Guardrail) ([]guard, error) {
	guards := make([]guard, len(specs))

	for i, spec := range specs {
		guards[i] = guard{name: spec.Name, message: spec.Message, maxLength: spec.MaxLength, topics: spec.Topics, checks: spec.Checks()}
		if spec.Message == "" {
			guards[i].message = fmt.Sprintf("The guardrail %q stopped this.", spec.Name)
		}

		for _, word := range spec.Words {
			guards[i].words = append(guards[i].words, strings.ToLower(word))
		}

		if spec.Pattern == "" {
			continue
		}

		pattern, err := regexp.Compile(spec.Pattern)
		if err != nil {
			return nil, fmt.Errorf("%s[%d].pattern: %w", field, i, err)
		}

		guards[i].pattern = pattern
	}

	return guards, nil
}

// check returns the first guard that the text violates, nil if there is none. Topics are not looked at: see [classify].
func check(guards []guard, text string) *guard {
	for i := range guards {
		if guards[i].violated(text) {
			return &guards[i]
		}
	}

	return nil
}

func (g *guard) violated(text string) bool {
	switch {
	case g.maxLength > 0 && len(text) > g.maxLength:
		return true
	case g.pattern != nil && g.pattern.MatchString(text):
		return true
	case len(g.words) > 0:
		return g.hasWord(strings.ToLower(text))
	default:
		return false
	}
}

func (g *guard) hasWord(lower string) bool {
	for _, word := range g.words {
		if hasWord(lower, word) {
			return true
		}
	}

	return false
}

// hasWord reports whether a word occurs with no letter or digit beside it, in any script.
func hasWord(text, word string) bool {
	if word == "" {
		return false
	}

	for start := 0; ; {
		at := strings.Index(text[start:], word)
		if at < 0 {
			return false
		}

		at += start
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		after, _ := utf8.DecodeRuneInString(text[at+len(word):])

		if !inWord(before) && !inWord(after) {
			return true
		}

		_, width := utf8.DecodeRuneInString(text[at:])
		start = at + width
	}
}

func inWord(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }

// showable returns how much of a message may be shown while it is still being written. A pattern, a word or a topic may
// be completed by text that has not come yet, so with such guards nothing is shown before the message is whole; under
// length limits alone the text is shown up to the shortest limit.
func showable(guards []guard, length int) int {
	for i := range guards {
		if guards[i].pattern != nil || len(guards[i].words) > 0 || len(guards[i].topics) > 0 {
			return 0
		}

		if guards[i].maxLength > 0 && length > guards[i].maxLength {
			return 0
		}
	}

	return length
}
