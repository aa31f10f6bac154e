package pii

import (
	"strings"
	"testing"
)

func all() []Kind { return []Kind{Email, Phone, Card, IBAN, NationalID} }

func TestFound(t *testing.T) {
	for text, want := range map[string]string{
		"Write to ann@example.com, please":                  "Write to [EMAIL_1], please",
		"<Ann.O'Neil+x@mail.example.co.uk>":                 "<[EMAIL_1]>",
		"mailto:jörg@bücher.example.":                       "mailto:[EMAIL_1].",
		"a@b, @c.de, a@b.c1, x@y..de":                       "a@b, @c.de, a@b.c1, x@y..de",
		"My card is 4111 1111 1111 1111.":                   "My card is [CARD_1].",
		"5500-0000-0000-0004 and 340000000000009":           "[CARD_1] and [CARD_2]",
		"4111 1111 1111 1112 is none":                       "4111 1111 1111 1112 is none",
		"card4111111111111111!":                             "card[CARD_1]!",
		"12 4111 1111 1111 1111 99":                         "12 [CARD_1] 99",
		"４１１１ １１１１ １１１１ １１１１":                               "[CARD_1]",
		"DE89 3704 0044 0532 0130 00":                       "[IBAN_1]",
		"de89370400440532013000 and GB82WEST12345698765432": "[IBAN_1] and [IBAN_2]",
		"XDE89370400440532013000":                           "XDE89370400440532013000",
	} {
		if got := NewBook(all()...).Redact(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestNationalIDs(t *testing.T) {
	for text, want := range map[string]bool{
		"85.07.30-033.28": true, "85073003328": true, "85.07.30-033.29": false, // Belgium
		"390.533.447-05": true, "52998224725": true, "390.533.447-06": false, "11111111111": false, // Brazil
		"86 095 742 719": true, "65929970489": true, "86 095 742 718": false, // Germany
		"12345678Z": true, "12.345.678-Z": true, "X1234567L": true, "12345678A": false, // Spain
		"131052-308T": true, "131052-308U": false, // Finland
		"2 55 08 14 168 025 38": true, "255081416802538": true, "255081416802539": false, // France
		"RSSMRA85T10A562S": true, "RSSMRA85T10A562T": false, // Italy
		"44051401359": true, "44051401358": false, // Poland
		"811218-9876": true, "19811218-9876": true, "8112189876": true, "811218-9877": false, // Sweden
		"Z12345678Z": false, "12345678ZZ": false,
	} {
		if got := NewBook(NationalID).Redact(text); (got == "[ID_1]") != want {
			t.Errorf("%q became %q, want it hidden: %v", text, got, want)
		}
	}
}

func TestPhones(t *testing.T) {
	for _, text := range []string{
		"+4930901820", "+49 30 901820", "+49 (0)30 901820", "+49-30-90 18 20", "+1 (415) 555-2671", "+1.415.555.2671",
		"0049 30 901820", "0034612345678", "(415) 555-2671", "415-555-2671", "415.555.2671", "1-415-555-2671",
		"030 901820", "(030) 901820", "030/901820", "0171 1234567", "01 23 45 67 89", "020 7946 0958", "07911 123456",
		"+358 40 1234567", "+86 138 0013 8000",
	} {
		if got := NewBook(all()...).Redact("Hello " + text + ", bye"); got != "Hello [PHONE_1], bye" {
			t.Errorf("%q became %q", text, got)
		}
	}

	for text, want := range map[string]string{
		"Call me on 4155552671.":          "Call me on [PHONE_1].",
		"tel: 612 345 678":                "tel: [PHONE_1]",
		"Mobile number is 01711234567":    "Mobile number is [PHONE_1]",
		"(+49) 30 901820":                 "([PHONE_1]",
		"My phone:\n0301234567":           "My phone:\n0301234567",
		"Telefon 0301234567, Fax 0307654": "Telefon [PHONE_1], Fax [PHONE_2]",
	} {
		if got := NewBook(Phone).Redact(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestNoPhones(t *testing.T) {
	for _, text := range []string{
		"Order 4155552671", "order no. 415-555-2671", "Invoice 030-901820", "Rechnung Nr. 030 901820", "2026-02-01", "01.02.2026",
		"01.02.2026 10:30", "on 01/02/26 at 10", "call me on 2026-02-01", "INV-2026-030901820", "1732777777777", "12345678",
		"192.168.010.020", "010.020.030.040", "10,000,000.00", "€030 901 820", "3.14159265358979", "v1.2.3", "0123456789",
		"+1 415 555", "+999", "550e8400-e29b-41d4-a716-446655440000", "1 2 3 4 5 6 7 8 9", "call about order 4155552671", "09:30-17:45",
	} {
		if got := NewBook(Phone).Redact(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestTheSameValue(t *testing.T) {
	book := NewBook(all()...)

	for _, step := range []struct{ text, want string }{
		{"ann@example.com and bob@example.com", "[EMAIL_1] and [EMAIL_2]"},
		{"bob@example.com again, Ann@Example.com too", "[EMAIL_2] again, [EMAIL_1.2] too"},
		{"4111111111111111, 4111-1111-1111-1111", "[CARD_1], [CARD_1.2]"},
		{"I wrote [EMAIL_1] myself", "I wrote [TEXT_1] myself"},
		{"Ann@Example.com", "[EMAIL_1.2]"},
	} {
		got := book.Redact(step.text)
		if got != step.want || book.Restore(got) != step.text {
			t.Errorf("%q became %q and then %q, want %q", step.text, got, book.Restore(got), step.want)
		}
	}

	if got := book.RedactOwn("[EMAIL_1] [EMAIL_9] carl@example.com"); got != "[EMAIL_1] [TEXT_2] [EMAIL_3]" {
		t.Errorf("its own text became %q", got)
	}

	if got := book.Restore("[EMAIL_7] [email_1] [CARD_01]"); got != "[EMAIL_7] [email_1] [CARD_01]" {
		t.Errorf("what is not its own became %q", got)
	}
}

// TestTheSameValueElsewhere has numbers come back where nothing says that they are of phones.
func TestTheSameValueElsewhere(t *testing.T) {
	book := NewBook(all()...)

	for _, step := range []struct{ text, want string }{
		{"Order 4155552671", "Order 4155552671"},
		{"Invoice 4155552671? My phone is 4155552671, or 415-555-2671.", "Invoice [PHONE_1]? My phone is [PHONE_1], or [PHONE_2]."},
		{"It is on your account: 415-555-2671", "It is on your account: [PHONE_2]"},
		{"order4155552671x", "order[PHONE_1]x"},
		{"order 941555526710", "order 941555526710"},
		{"ticket 4155552671@example.com", "ticket [EMAIL_1]"},
	} {
		got := book.Redact(step.text)
		if got != step.want || book.Restore(got) != step.text {
			t.Errorf("%q became %q and then %q, want %q", step.text, got, book.Restore(got), step.want)
		}
	}

	const arguments = `{"phone":"4155552671","id":4155552671,"other":94155552671}`
	if got := book.RedactJSON(arguments, false); got != `{"phone":"[PHONE_1]","id":"[PHONE_1]","other":94155552671}` {
		t.Errorf("%s became %s", arguments, got)
	}
}

func TestKinds(t *testing.T) {
	const text = "ann@example.com, 4111111111111111"

	if got := NewBook(Email).Redact(text); got != "[EMAIL_1], 4111111111111111" {
		t.Error(got)
	}

	var none *Book
	if none.Redact(text) != text || none.Restore(text) != text || none.RedactJSON(text, true) != text || none.Has(Email) || len(none.Count(text)) > 0 {
		t.Error("no book changes something")
	}

	if got := NewBook(IBAN).Redact("DE89 3704 0044 0532 0130 01"); got != "DE89 3704 0044 0532 0130 01" {
		t.Error(got)
	}

	book := NewBook(all()...)
	if counts := book.Count(book.Redact(text+" [EMAIL_9]") + " [EMAIL_9]"); counts[Email] != 1 || counts[Card] != 1 || len(counts) != 2 {
		t.Errorf("counted %v", counts)
	}
}

func TestJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"to":"ann@example.com","n":4111111111111111, "x":[1.5,true,null]}`: `{"to":"[EMAIL_1]","n":"[CARD_1]", "x":[1.5,true,null]}`,
		`["\u0061nn@example.com <&> \"x\"","ann@example.org\n"]`:             `["[EMAIL_1] <&> \"x\"","[EMAIL_2]\n"]`,
		`{"ann@example.com":{}}`:  `{"[EMAIL_1]":{}}`,
		`{"a": "ann@example.com"`: `{"a": "[EMAIL_1]"`,
		`"ann@example.com"`:       `"[EMAIL_1]"`,
		`[4111,1111,1111,1111]`:   `[4111,1111,1111,1111]`,
		``:                        ``,
	} {
		if got := NewBook(all()...).RedactJSON(text, false); got != want {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
	}
}

func TestStream(t *testing.T) {
	book := NewBook(all()...)
	redacted := book.Redact("Hello ann@example.com [x] and 4111 1111 1111 1111!")
	whole := book.Restore(redacted) + " [EMAIL"

	for size := 1; size < 12; size++ {
		stream, shown := NewStream(book), ""

		for rest := redacted + " [EMAIL"; rest != ""; {
			piece := rest[:min(size, len(rest))]
			rest = rest[len(piece):]
			shown += stream.Write(piece)

			if !strings.HasPrefix(whole, shown) {
				t.Fatalf("pieces of %d: shown %q", size, shown)
			}
		}

		if shown += stream.Close(); shown != whole {
			t.Errorf("pieces of %d: %q, want %q", size, shown, whole)
		}
	}
}

// BenchmarkRedact reads 100 KB of a conversation, which happens before each model call.
func BenchmarkRedact(b *testing.B) {
	text := strings.Repeat("Hello, my invoice INV-2026-0042 of 12.03.2026 was charged twice, 49.90 each. Write to ann@example.com or call "+
		"+49 30 901820; the card is 4111 1111 1111 1111. Thank you (and sorry)!\n", 550)

	b.SetBytes(int64(len(text)))

	for b.Loop() {
		NewBook(all()...).Redact(text)
	}
}
