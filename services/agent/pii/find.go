package pii

import (
	"slices"
	"strings"
)

// match is a value in a text. No value has a character that JSON would escape, so that one can be put into JSON as it is.
type match struct {
	start, end int
	kind       Kind
	// same is equal for other ways to write the same value.
	same string
}

// find returns the values of the kinds in a text, by their places. None overlaps another. What is known already is looked
// for before what only its surroundings tell from other numbers.
func find(text string, kinds []Kind, recall func(string) []match) []match {
	found := literals(text)

	for _, finder := range []struct {
		kind Kind
		look func(string) []match
	}{{Email, emails}, {IBAN, ibans}, {Card, cards}, {literal, recall}, {NationalID, nationalIDs}, {Phone, phones}} {
		if finder.kind == literal || slices.Contains(kinds, finder.kind) {
			found = between(text, found, finder.look)
		}
	}

	return found
}

// between looks for more where nothing was found yet.
func between(text string, found []match, look func(string) []match) []match {
	var all []match

	at := 0

	for _, known := range append(found, match{start: len(text), end: len(text) + 1}) {
		for _, more := range look(text[at:known.start]) {
			more.start += at
			more.end += at
			all = append(all, more)
		}

		if known.start < len(text) {
			all = append(all, known)
		}

		at = known.end
	}

	return all
}

// literals are the places that look like placeholders.
func literals(text string) []match {
	var found []match

	for at := 0; ; {
		next := strings.IndexByte(text[at:], '[')
		if next < 0 {
			return found
		}

		at += next

		length, _ := placeholder(text[at:])
		if length > 0 {
			found = append(found, match{start: at, end: at + length, kind: literal, same: text[at : at+length]})
		}

		at += max(1, length)
	}
}
