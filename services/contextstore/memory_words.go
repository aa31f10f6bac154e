package contextstore

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

const (
	// maxTerms bounds how many words of a query count: the first ones.
	maxTerms = 64
	// maxWord bounds a word, in runes: databases index no longer ones, and nobody looks for them.
	maxWord = 64
)

// common words say nothing about what a query is about; it would find every memory by them.
var common = strings.Fields(`a about after all am an and any are as at be been but by can could did do does for from had has have
	he her his how i if in into is it its just may me my no not of on or our please she should so some than that the their them
	then there these they this to up us user was we were what when where which who why will with would you your`)

// wordsOf returns the words of a text as they are looked for: in lower case, without the accents of letters that are
// Latin, Greek or Cyrillic, and cut where there is neither letter, digit nor mark. Both stores index what it returns, so
// that they find the same. Scripts that put no spaces between words are cut into pairs of letters.
func wordsOf(text string) []string {
	cutter := &cutter{}

	for _, r := range norm.NFKD.String(strings.ToLower(text)) {
		cutter.take(r)
	}

	cutter.end()

	return cutter.words
}

// cutter cuts words out of decomposed text.
type cutter struct {
	words []string
	word  []rune
	// unspaced says that the word is of a script without spaces, and plain that its last letter loses its accents.
	unspaced, plain bool
}

func (c *cutter) take(r rune) {
	switch {
	case unicode.Is(unicode.M, r):
		if len(c.word) > 0 && !c.plain {
			c.word = append(c.word, r)
		}
	case !unicode.IsLetter(r) && !unicode.IsNumber(r):
		c.end()
	default:
		if unspaced := unicode.In(r, unspacedScripts...); unspaced != c.unspaced {
			c.end()
			c.unspaced = unspaced
		}

		c.word, c.plain = append(c.word, r), unicode.In(r, unicode.Latin, unicode.Greek, unicode.Cyrillic)
	}
}

var unspacedScripts = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

// end ends a word.
func (c *cutter) end() {
	word := []rune(norm.NFC.String(string(c.word)))
	c.word = c.word[:0]

	switch {
	case len(word) == 0:
	case c.unspaced && len(word) > 1:
		for i := range len(word) - 1 {
			c.words = append(c.words, string(word[i:i+2]))
		}
	default:
		c.words = append(c.words, string(word[:min(len(word), maxWord)]))
	}
}

// termsOf returns the words that a query is about, each once: not the common ones, unless there are no others.
func termsOf(query string) []string {
	words := wordsOf(query)

	telling := slices.DeleteFunc(slices.Clone(words), func(word string) bool { return slices.Contains(common, word) })
	if len(telling) == 0 {
		telling = words
	}

	var terms []string

	for _, word := range telling {
		if len(terms) < maxTerms && !slices.Contains(terms, word) {
			terms = append(terms, word)
		}
	}

	return terms
}
