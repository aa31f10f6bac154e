package retriever

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// maxTerms bounds how many words of a query count: the first ones.
const maxTerms = 64

// common words say nothing about what a query is about; BM25 would find every passage by them.
var common = strings.Fields(`a about after all am an and any are as at be been but by can could did do does for from had has have
	how i if in into is it its just may me my no not of on or our please should so some than that the their them then there these
	they this to up us was we were what when where which who why will with would you your`)

// termsOf is a query in FTS5's language: any of its words, each as it is.
func termsOf(query string) string {
	words := strings.FieldsFunc(strings.ToLower(query), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.M, r)
	})

	telling := slices.DeleteFunc(slices.Clone(words), func(word string) bool { return slices.Contains(common, word) })
	if len(telling) == 0 {
		telling = words
	}

	var terms []string

	for _, word := range telling {
		if term := `"` + word + `"`; len(terms) < maxTerms && !slices.Contains(terms, term) {
			terms = append(terms, term)
		}
	}

	return strings.Join(terms, " OR ")
}

// hit is a passage that a ranking found.
type hit struct {
	id    int64
	score float64
}

// byWords ranks by BM25, in which a word of the title or a heading counts twice. A query without words finds nothing.
func (x *index) byWords(ctx context.Context, query string, most int) ([]hit, error) {
	terms := termsOf(query)
	if terms == "" {
		return nil, nil
	}

	rows, err := x.db.QueryContext(ctx,
		"SELECT rowid, -bm25(words, 2.0, 1.0) AS score FROM words WHERE words MATCH ? ORDER BY score DESC, rowid LIMIT ?", terms, most)
	if err != nil {
		return nil, fmt.Errorf("search for words: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells

	var hits []hit

	for rows.Next() {
		var one hit
		if err := rows.Scan(&one.id, &one.score); err != nil {
			return nil, fmt.Errorf("search for words: %w", err)
		}

		hits = append(hits, one)
	}

	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("search for words: %w", err)
	}

	return hits, nil
}
