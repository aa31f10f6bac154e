package agentspec

import (
	"fmt"
	"slices"
	"strings"
)

// maxShown is how much of a foreign text a message repeats, in bytes.
const maxShown = 64

// allowed says what may stand instead of the text, and which of it was probably meant.
func allowed(text string, options []string) string {
	if len(options) == 0 {
		return "none is allowed here"
	}

	sorted := slices.Sorted(slices.Values(options))
	list := strings.Join(sorted, ", ")

	if best := nearest(text, sorted); best != "" {
		return fmt.Sprintf("did you mean %s? allowed here: %s", best, list)
	}

	return "allowed here: " + list
}

// nearest returns the option that the text is a likely misspelling of; empty if none is.
func nearest(text string, options []string) string {
	if len(text) > maxShown {
		return ""
	}

	best, least := "", 2+len(text)/4

	for _, option := range options {
		if d := distance(strings.ToLower(text), strings.ToLower(option)); d < least {
			best, least = option, d
		}
	}

	return best
}

// distance is Levenshtein's, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}

	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1

		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}

			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j+1]+1, row[j]+1)
		}
	}

	return row[len(b)]
}

// quote shows a foreign text, cut to a length that a line can bear.
func quote(text string) string {
	if len(text) > maxShown {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(text[:maxShown], ""))
	}

	return fmt.Sprintf("%q", text)
}
