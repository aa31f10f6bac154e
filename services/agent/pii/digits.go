package pii

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// digitAt returns the digit at a place of a text and its width in bytes, and -1 if there is none. Digits of keyboards
// that are not Latin count.
func digitAt(text string, at int) (digit, width int) {
	if at >= len(text) {
		return -1, 0
	}

	if char := text[at]; char < utf8.RuneSelf {
		if char >= '0' && char <= '9' {
			return int(char - '0'), 1
		}

		return -1, 1
	}

	r, width := utf8.DecodeRuneInString(text[at:])
	for _, zero := range [...]rune{0x660, 0x6F0, 0x966, 0xFF10} { // Arabic, Persian, Devanagari, full width
		if r >= zero && r <= zero+9 {
			return int(r - zero), width
		}
	}

	return -1, width
}

func isDigit(text string, at int) bool {
	digit, _ := digitAt(text, at)

	return digit >= 0
}

// runEnd returns where the digits at a place end.
func runEnd(text string, at int) int {
	for {
		digit, width := digitAt(text, at)
		if digit < 0 {
			return at
		}

		at += width
	}
}

// digitsOf returns the digits of a text in ASCII.
func digitsOf(text string) string {
	var digits strings.Builder

	for at := 0; at < len(text); {
		digit, width := digitAt(text, at)
		if digit >= 0 {
			digits.WriteByte("0123456789"[digit])
		}

		at += width
	}

	return digits.String()
}

// separatorAt returns the width of what people write between groups of digits; 0 if nothing of it is there.
func separatorAt(text string, at int, more string) int {
	if at >= len(text) {
		return 0
	}

	r, width := utf8.DecodeRuneInString(text[at:])

	switch {
	case r == ' ', r == '-', r == 0xA0, r == 0x202F, r == 0x2009, r >= 0x2010 && r <= 0x2015:
		return width
	case r != utf8.RuneError && strings.ContainsRune(more, r):
		return width
	default:
		return 0
	}
}

// separators returns the width of at most three of them.
func separators(text string, at int, more string) int {
	width := 0
	for range 3 {
		width += separatorAt(text, at+width, more)
	}

	return width
}

// wordAt reports whether a letter or digit is at a place; wordBefore, whether one ends there.
func wordAt(text string, at int) bool {
	r, _ := utf8.DecodeRuneInString(text[min(at, len(text)):])

	return isWord(r)
}

func wordBefore(text string, at int) bool {
	r, _ := utf8.DecodeLastRuneInString(text[:at])

	return isWord(r)
}

func isWord(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }

// luhn is the check of ISO/IEC 7812: every second digit from the right is doubled.
func luhn(digits string) bool {
	sum := 0

	for i := range len(digits) {
		digit := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			digit = digit*2 - digit/5*9
		}

		sum += digit
	}

	return sum%10 == 0
}
