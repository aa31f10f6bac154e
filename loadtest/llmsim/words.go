package llmsim

import (
	"strings"
	"unicode"
)

// keyword is a word that says something, by its stem.
type keyword struct {
	stem string
	// concept is what the stem shares with its synonyms; "" for most.
	concept string
	// word is how it was written, in lower case.
	word string
	// weight is 1, less for words that name no thing.
	weight float64
	// at is its place in the text.
	at int
}

// keywords lists the words of a text that are worth comparing, each stem once, in order. Numbers and ids are not words.
func keywords(text string) []keyword {
	found, seen := []keyword{}, map[string]bool{}

	for at, word := range split(text) {
		if stopWords[word] || strings.ContainsFunc(word, unicode.IsDigit) {
			continue
		}

		stemmed := stem(word)
		if len(stemmed) < 2 || seen[stemmed] {
			continue
		}

		seen[stemmed] = true
		weight := 1.0

		if lookupVerbs[stemmed] {
			weight = 0.3
		}

		found = append(found, keyword{stem: stemmed, concept: concepts[stemmed], word: word, weight: weight, at: at})
	}

	return found
}

// split cuts a text or a name (snake_case, kebab-case, camelCase) into words in lower case.
func split(text string) []string {
	words, word, lower := []string{}, strings.Builder{}, false

	flush := func() {
		if word.Len() > 0 {
			words = append(words, word.String())
			word.Reset()
		}
	}

	for _, char := range text {
		switch {
		case char == '\'' || char == '’':
			continue
		case !unicode.IsLetter(char) && !unicode.IsDigit(char):
			flush()

			lower = false

			continue
		case unicode.IsUpper(char) && lower:
			flush()
		}

		lower = unicode.IsLower(char)
		word.WriteRune(unicode.ToLower(char))
	}

	flush()

	return words
}

// stem takes off the endings that make forms of one word differ: invoice, invoices; charge, charged; cancel,
// cancelled, cancellation.
func stem(word string) string {
	for _, ending := range []struct{ from, to string }{
		{"ies", "y"}, {"ations", ""}, {"ation", ""}, {"ings", ""}, {"ing", ""}, {"ied", "y"}, {"ed", ""}, {"es", ""},
	} {
		if trimmed, found := strings.CutSuffix(word, ending.from); found && len(trimmed) >= 3 {
			return plain(trimmed + ending.to)
		}
	}

	if strings.HasSuffix(word, "s") && !strings.HasSuffix(word, "ss") && !strings.HasSuffix(word, "us") && len(word) > 3 {
		word = word[:len(word)-1]
	}

	return plain(word)
}

// plain drops a silent e and the second of two equal letters at the end.
func plain(word string) string {
	if len(word) > 3 {
		word = strings.TrimSuffix(word, "e")
	}

	if end := len(word) - 1; end > 2 && word[end] == word[end-1] {
		word = word[:end]
	}

	return word
}

func set(words string) map[string]bool {
	made := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		made[word] = true
	}

	return made
}

func stems(words string) map[string]bool {
	made := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		made[stem(word)] = true
	}

	return made
}

var stopWords = set(`a about after again agent all also am an and any anything are as ask at be because been before being
	but by can cannot cant could customer dear did do does doing done dont else for from get give go going good got had has have
	having he hello help her here hey hi him his how i id if ill im in into is it its ive just know let like made may maybe me
	might more much must my need needs no not now of off ok okay on once one only or our out over per please pls problem question
	same she should so some something sorry such sure talk tell than thank thanks that the their them then there these they thing
	this those through to too until up us use used user very via want wants was we well were what when where whether which who why
	will with without would yes yet you your yours hand handoff control pass passes passed conversation other another use when
	handle handles task tasks return returns given optional required string number whats morning afternoon evening welcome see
	last new next`)

var lookupVerbs = stems(`list get find search check lookup look read show query fetch describe view count retrieve show`)

// actingVerbs change something in the world.
var actingVerbs = stems(`refund reimburse book reserve schedule cancel create add make open update change modify edit delete
	remove send pay charge transfer submit approve reject close start stop restart deploy order buy purchase issue apply set
	assign register write post upload move rename enable disable confirm reschedule`)

// concepts joins words that mean much the same to those who ask.
var concepts = synonyms(
	"refund reimburse chargeback twice double doubled duplicate duplicated",
	"invoice bill billing charge payment receipt billed",
	"book appointment schedule reserve slot meeting calendar availability",
	"cancel abort revoke",
	"time clock date hour timezone",
	"calculate calculator compute sum plus minus multiply divide",
	"email mail send",
	"delete remove erase",
	"change update modify edit",
	"order purchase buy",
	"error failure crash incident outage broken",
	"password login account",
	"weather forecast temperature rain",
	"document file docs article knowledge",
	"ship shipment delivery deliver parcel package tracking",
)

func synonyms(groups ...string) map[string]string {
	made := map[string]string{}

	for _, group := range groups {
		name, _, _ := strings.Cut(group, " ")
		for word := range strings.FieldsSeq(group) {
			made[stem(word)] = name
		}
	}

	return made
}
