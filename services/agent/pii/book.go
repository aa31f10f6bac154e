package pii

import (
	"slices"
	"strconv"
	"strings"
)

// Book says which placeholders stand for which values. The zero value hides nothing, and so does nil.
type Book struct {
	kinds []Kind
	// placeholders by kind and value, and the other way round.
	placeholders map[string]string
	values       map[string]string
	// ways holds, by kind and what is the same for all ways to write a value, its number and how many ways were met.
	ways  map[string]way
	count map[Kind]int

	// known are the values that [Book.recall] looks for: lengths has theirs, the longest first, begins their first bytes.
	known   map[string]Kind
	lengths []int
	begins  [256]bool
}

type way struct{ number, writings int }

// NewBook makes an empty book of the kinds.
func NewBook(kinds ...Kind) *Book {
	return &Book{
		kinds: kinds, placeholders: map[string]string{}, values: map[string]string{}, ways: map[string]way{}, count: map[Kind]int{},
		known: map[string]Kind{},
	}
}

// Redact replaces values by placeholders; [Book.Restore] gives the same text back. What looked like a placeholder before
// gets one, too.
func (b *Book) Redact(text string) string { return b.redact(text, false) }

// RedactOwn is [Book.Redact] of a text in which the book's placeholders stand for what they stand for in the book.
func (b *Book) RedactOwn(text string) string { return b.redact(text, true) }

func (b *Book) redact(text string, own bool) string {
	if b == nil || len(b.kinds) == 0 {
		return text
	}

	var redacted strings.Builder

	at := 0

	for _, found := range b.find(text) {
		value := text[found.start:found.end]
		if _, known := b.values[value]; own && known && found.kind == literal {
			continue
		}

		redacted.WriteString(text[at:found.start])
		redacted.WriteString(b.placeholder(found, value))

		at = found.end
	}

	if at == 0 {
		return text
	}

	redacted.WriteString(text[at:])

	return redacted.String()
}

// find returns what is to be replaced. A value that only its surroundings give away is found at its other places, too.
func (b *Book) find(text string) []match {
	found := find(text, b.kinds, b.recall)

	for _, match := range found {
		b.learn(match.kind, text[match.start:match.end])

		if match.kind != literal {
			b.placeholder(match, text[match.start:match.end])
		}
	}

	return between(text, found, b.recall)
}

// Count returns how many values of each kind a redacted text hides.
func (b *Book) Count(redacted string) map[Kind]int {
	counts := map[Kind]int{}

	if b == nil {
		return counts
	}

	for _, found := range literals(redacted) {
		text := redacted[found.start:found.end]
		if _, known := b.values[text]; !known {
			continue
		}

		for _, kind := range b.kinds {
			if strings.HasPrefix(text, kind.opening()) {
				counts[kind]++
			}
		}
	}

	return counts
}

// Has reports whether the book hides a kind.
func (b *Book) Has(kind Kind) bool { return b != nil && slices.Contains(b.kinds, kind) }

// placeholder is the value's, a new one if it has none.
func (b *Book) placeholder(found match, value string) string {
	key := string(found.kind) + "\x00" + value
	if known, ok := b.placeholders[key]; ok {
		return known
	}

	common := string(found.kind) + "\x00" + found.same
	met := b.ways[common]

	if met.number == 0 {
		b.count[found.kind]++
		met.number = b.count[found.kind]
	}

	met.writings++
	b.ways[common] = met

	made := found.kind.opening() + strconv.Itoa(met.number)
	if met.writings > 1 {
		made += "." + strconv.Itoa(met.writings)
	}

	made += "]"
	b.placeholders[key], b.values[made] = made, value

	return made
}

// HasPlaceholder reports whether something in a text looks like a placeholder, of this book or of another.
func HasPlaceholder(text string) bool { return len(literals(text)) > 0 }

// Restore puts the values back. A placeholder that is not the book's stays.
func (b *Book) Restore(text string) string {
	if b == nil || len(b.values) == 0 {
		return text
	}

	var restored strings.Builder

	at := 0

	for _, found := range literals(text) {
		if value, known := b.values[text[found.start:found.end]]; known {
			restored.WriteString(text[at:found.start])
			restored.WriteString(value)

			at = found.end
		}
	}

	restored.WriteString(text[at:])

	return restored.String()
}
