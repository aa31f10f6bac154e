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

	for dots := 0; ; dots++ {
		digits := 0
		for digits < len(rest) && digits < maxNumber && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}

		zero := digits > 0 && rest[0] == '0'
		rest = rest[digits:]

		switch {
		case zero:
			return 0, false
		case rest == "":
			return 0, true
		case digits > 0 && rest[0] == ']':
			return len(text) - len(rest) + 1, false
		case digits > 0 && rest[0] == '.' && dots == 0:
			if rest = rest[1:]; rest == "" {
				return 0, true
			}
		default:
			return 0, false
		}
	}
}

// afterLabel returns what follows the label and the underscore of a placeholder; nothing if they are not there, or if
// nothing follows.
func afterLabel(text string) (rest string, open bool) {
	if text == "" || text[0] != '[' {
		return "", false
	}

	for _, label := range labels() {
		whole := "[" + label + "_"
		if rest, ok := strings.CutPrefix(text, whole); ok {
			return rest, rest == ""
		}

		open = open || strings.HasPrefix(whole, text)
	}

	return "", open
}
