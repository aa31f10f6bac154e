package pii

import (
	"slices"
	"unicode/utf8"
)

// learn notes a value, so that it is hidden wherever it comes back: what makes a number one of a phone may stand beside it
// only once. Addresses are found in any surroundings.
func (b *Book) learn(kind Kind, value string) {
	if _, known := b.known[value]; known || kind == literal || kind == Email {
		return
	}

	b.known[value] = kind
	b.begins[value[0]] = true

	if at, found := slices.BinarySearchFunc(b.lengths, len(value), func(one, other int) int { return other - one }); !found {
		b.lengths = slices.Insert(b.lengths, at, len(value))
	}
}

// recall finds the values that the book knows, the longest at each place; not those within longer numbers.
func (b *Book) recall(text string) []match {
	var found []match

	if len(b.known) == 0 {
		return nil
	}

	for at := 0; at < len(text); {
		end := at
		if b.begins[text[at]] {
			end = b.recallAt(text, at)
		}

		if end > at {
			found = append(found, match{start: at, end: end, kind: b.known[text[at:end]]})
		}

		at = max(end, at+1)
	}

	return found
}

// recallAt returns where the longest known value at a place ends; the place itself if there is none.
func (b *Book) recallAt(text string, at int) int {
	for _, length := range b.lengths { // the longest first
		end := at + length
		if end > len(text) || withinDigits(text, at) || withinDigits(text, end) {
			continue
		}

		if _, known := b.known[text[at:end]]; known {
			return end
		}
	}

	return at
}

// withinDigits reports whether a place has digits on both sides.
func withinDigits(text string, at int) bool {
	_, width := utf8.DecodeLastRuneInString(text[:at])

	return width > 0 && isDigit(text, at-width) && isDigit(text, at)
}
