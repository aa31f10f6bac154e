package contextstore

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestWordsOf(t *testing.T) {
	t.Parallel()

	long := strings.Repeat("x", 100)

	for text, want := range map[string]string{
		"":                      "",
		"?! \x00 \"'*:^-()":     "",
		"Hello, WORLD":          "hello world",
		"Café crème":            "cafe creme",
		"cafe\u0301":            "cafe",
		"ΚΑΦΈ й":                "καφε и",
		"İstanbul ﬁn":           "istanbul fin",
		"don't x_y@a.b 3.14":    "don t x y a b 3 14",
		"हिन्दी":                "हिन्दी", // its signs are no accents
		"京都でtea":                "京都 都で tea",
		"茶":                     "茶",
		"ｔｅａ ２":                 "tea 2",
		long:                    long[:maxWord],
		"\u0301 e\u0301\u0302x": "ex",
	} {
		if got := strings.Join(wordsOf(text), " "); got != want {
			t.Errorf("the words of %q are %q, want %q", text, got, want)
		}
	}
}

func TestTermsOf(t *testing.T) {
	t.Parallel()

	for query, want := range map[string]string{
		"What is the best tea? Tea!": "best tea",
		"what is it":                 "what is it",
		"...":                        "",
	} {
		if got := strings.Join(termsOf(query), " "); got != want {
			t.Errorf("the terms of %q are %q, want %q", query, got, want)
		}
	}

	var words []string
	for i := range 2 * maxTerms {
		words = append(words, fmt.Sprint("w", i))
	}

	if got := termsOf(strings.Join(words, " ")); !slices.Equal(got, words[:maxTerms]) {
		t.Errorf("of many words these count: %q", got)
	}
}

// FuzzWordsOf: words are what databases can be asked for without a second thought, and words of themselves.
func FuzzWordsOf(f *testing.F) {
	for _, text := range []string{"Café", "' OR \"", "京都で", "\u0301", "İ", "ﷺ", "a\u0345b"} {
		f.Add(text)
	}

	f.Fuzz(func(t *testing.T, text string) {
		for _, word := range wordsOf(text) {
			if word == "" || strings.ContainsAny(word, "\"'\\ \x00*:&|!()<>") || len([]rune(word)) > maxWord {
				t.Errorf("%q has the word %q", text, word)
			}
		}
	})
}

func placed(positions ...int64) []Memory {
	made := make([]Memory, 0, len(positions))
	for _, position := range positions {
		made = append(made, Memory{Position: position})
	}

	return made
}

func TestFuse(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		words, vector []Memory
		limit         int
		want          string
	}{
		{nil, nil, 5, ""},
		{placed(1, 2), nil, 5, "1 (1, 0), 2 (2, 0)"},
		{nil, placed(1, 2), 5, "1 (0, 1), 2 (0, 2)"},
		{placed(1, 2), placed(2, 3), 5, "2 (2, 1), 1 (1, 0), 3 (0, 2)"},
		{placed(1, 2), placed(3, 4), 5, "3 (0, 1), 1 (1, 0), 4 (0, 2), 2 (2, 0)"}, // of equals the newest
		{placed(1, 2), placed(2, 1), 5, "2 (2, 1), 1 (1, 2)"},
		{placed(1, 2, 3), placed(9), 2, "9 (0, 1), 1 (1, 0)"},
	} {
		var got []string
		for _, one := range fuse(test.words, test.vector, test.limit) {
			got = append(got, fmt.Sprintf("%d (%d, %d)", one.Position, one.text, one.vector))
		}

		if strings.Join(got, ", ") != test.want {
			t.Errorf("got %s, want %s", strings.Join(got, ", "), test.want)
		}
	}
}
