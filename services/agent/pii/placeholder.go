package pii

import "strings"

// maxNumber is how many digits a placeholder's number may have.
const maxNumber = 9

// placeholder returns how long the placeholder is that a text begins with: [EMAIL_1], or [EMAIL_1.2] for another way to
// write the same value. It is 0 if there is none; open says that more text could still make it one.
func placeholder(text string) (length int, open bool) {
	rest, open := afterLabel(text)
	if rest == "" {
		return 0, open
	}

	after := afterNumber(rest)
	if dotted, ok := strings.CutPrefix(after, "."); ok && len(after) < len(rest) {
		rest, after = dotted, afterNumber(dotted)
	}

	switch {
	case after == "":
		return 0, true
	case after[0] == ']' && len(after) < len(rest):
		return len(text) - len(after) + 1, false
	default:
		return 0, false
	}
}

// afterNumber returns what follows a number, or all of it if none is there. No number begins with a 0.
func afterNumber(text string) string {
	digits := 0
	for digits < len(text) && digits < maxNumber && text[digits] >= '0' && text[digits] <= '9' && text[0] != '0' {
		digits++
	}

	return text[digits:]
}

// afterLabel returns what follows the label and the underscore of a placeholder; nothing if they are not there, or if
// nothing follows.
func afterLabel(text string) (rest string, open bool) {
	if text == "" || text[0] != '[' {
		return "", false
	}

	for _, kind := range kinds() {
		whole := kind.opening()
		if rest, ok := strings.CutPrefix(text, whole); ok {
			return rest, rest == ""
		}

		open = open || strings.HasPrefix(whole, text)
	}

	return "", open
}
