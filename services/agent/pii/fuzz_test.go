package pii

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzRedact hides what is in two texts that follow each other: both come back as they were, at once and in pieces, the
// same book is made again, and no number of a card is left.
func FuzzRedact(f *testing.F) {
	f.Add("Write to ann@example.com [EMAIL_1]", "ANN@example.com", byte(31), byte(3))
	f.Add("4111 1111 1111 1111", "card4111-1111-1111-1111x 411111111111111", byte(4), byte(1))
	f.Add("DE89 3704 0044 0532 0130 00 DE89370400440532013000", "[IBAN_1.2] [TEXT_1] [CARD_4111111111111111]", byte(31), byte(7))
	f.Add("+49 (0)30 901820, tel: 612 345 678", "(415) 555-2671 415.555.2671", byte(31), byte(2))
	f.Add("85.07.30-033.28 RSSMRA85T10A562S", "2 55 08 14 168 025 38 131052-308T", byte(24), byte(5))
	f.Add("[[EMAIL_[CARD_1]]4111111111111111@example.com", "\xff[\xfe４１１１１１１１１１１１１１１１", byte(31), byte(1))
	f.Add("378282246310005 6011 1111 1111 1117", "30569309025904/3530111333300000", byte(4), byte(9))
	f.Add("Call me on 4155552671", "It is on your account: 415-555-2671 tel 415-555-2671", byte(31), byte(3))
	f.Fuzz(func(t *testing.T, first, second string, kinds, piece byte) {
		var some []Kind

		for i, kind := range all() {
			if kinds&(1<<i) != 0 {
				some = append(some, kind)
			}
		}

		book := NewBook(some...)
		one, two := book.Redact(first), book.Redact(second)

		if again := NewBook(some...); again.Redact(first) != one || again.Redact(second) != two {
			t.Fatal("the same texts made another book")
		}

		for redacted, text := range map[string]string{one: first, two: second} {
			if got := book.Restore(redacted); got != text {
				t.Fatalf("%q became %q and then %q", text, redacted, got)
			}

			if got := inPieces(book, redacted, int(piece%17)+1); got != text {
				t.Fatalf("%q became %q and then, in pieces, %q", text, redacted, got)
			}

			if card := anyCard(redacted); book.Has(Card) && card != "" {
				t.Fatalf("%q became %q, which has the card %s", text, redacted, card)
			}
		}

		checkJSON(t, book, first, second)
		checkKnown(t, book, one, first)
		checkKnown(t, book, two, second)
	})
}

// checkKnown wants each value that was found hidden wherever it comes back, whatever stands before it.
func checkKnown(t *testing.T, book *Book, redacted, prefix string) {
	t.Helper()

	for _, found := range literals(redacted) {
		placeholder := redacted[found.start:found.end]

		value, known := book.values[placeholder]
		if !known || strings.HasPrefix(placeholder, "[TEXT_") {
			continue
		}

		if again := book.RedactJSON(text(t, map[string]string{"k": value}), false); strings.Contains(again, value) {
			t.Fatalf("the text %q is known and became %s", value, again)
		}

		for _, prefix := range []string{prefix, "order no. ", "x", "+", prefix + " "} {
			if withinDigits(prefix+value, len(prefix)) {
				continue
			}

			again := book.Redact(prefix + value)
			if strings.HasSuffix(again, value) || book.Restore(again) != prefix+value {
				t.Fatalf("%q is known, and %q became %q", value, prefix+value, again)
			}
		}
	}
}

func inPieces(book *Book, text string, size int) string {
	var restored strings.Builder

	stream := NewStream(book)

	for text != "" {
		piece := text[:min(size, len(text))]
		text = text[len(piece):]
		restored.WriteString(stream.Write(piece))
	}

	return restored.String() + stream.Close()
}

// anyCard looks for a card from every digit on, slowly and simply.
func anyCard(text string) string {
	for at := range len(text) {
		if digit(text, at) < 0 || at > 0 && digit(text, at-1) >= 0 {
			continue
		}

		digits, gap := "", 0

		for end := at; end < len(text) && len(digits) < 19; end++ {
			if digit(text, end) < 0 {
				if gap++; gap > 3 || strings.IndexByte(" -._/", text[end]) < 0 {
					break
				}

				continue
			}

			digits, gap = digits+text[end:end+1], 0

			ends := end+1 == len(text) || digit(text, end+1) < 0
			if ends && len(digits) >= 13 && strings.IndexByte("3456", digits[0]) >= 0 && checkDigit(digits) {
				return digits
			}
		}
	}

	return ""
}

func digit(text string, at int) int {
	if char := text[at]; char >= '0' && char <= '9' {
		return int(char - '0')
	}

	return -1
}

// checkDigit is Luhn's, by a table.
func checkDigit(digits string) bool {
	sum := 0

	for i := range len(digits) {
		if (len(digits)-i)%2 == 0 {
			sum += [10]int{0, 2, 4, 6, 8, 1, 3, 5, 7, 9}[digits[i]-'0']
		} else {
			sum += int(digits[i] - '0')
		}
	}

	return sum%10 == 0
}

// checkJSON wants JSON to stay JSON, and to come back.
func checkJSON(t *testing.T, book *Book, first, second string) {
	t.Helper()

	data, err := json.Marshal(map[string]any{first: second, "list": []string{second}})
	if err != nil {
		t.Fatal(err)
	}

	redacted := book.RedactJSON(string(data), false)
	if !json.Valid([]byte(redacted)) {
		t.Fatalf("%s became %s", data, redacted)
	}

	var want, got any

	if json.Unmarshal(data, &want) != nil || json.Unmarshal([]byte(book.Restore(redacted)), &got) != nil {
		t.Fatalf("%s became %s and then %s", data, redacted, book.Restore(redacted))
	}

	if one, other := text(t, want), text(t, got); one != other {
		t.Fatalf("%s became %s and then %s", one, redacted, other)
	}
}

func text(t *testing.T, value any) string {
	t.Helper()

	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}

	return string(data)
}
