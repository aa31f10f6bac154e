package pii

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// about is what the words before a number say that it is.
type about int

const (
	aboutUnknown about = iota
	aboutPhones
	aboutOther
)

// What stands before phone numbers, before other numbers, and between such a word and its number.
const (
	phoneWords = " phone telephone tel tél mobile cell call fax whatsapp sms text ring dial telefon handy mobil anrufen rufnummer " +
		"telefonnummer handynummer téléphone portable appeler appelez teléfono telefono móvil cellulare numero_di_telefono puhelin telefoon "
	otherWords = " order invoice ticket ref reference id case account booking customer serial tracking parcel version build isbn " +
		"bestellung bestellnummer rechnung rechnungsnummer auftrag auftragsnummer kundennummer vorgang aktenzeichen commande facture " +
		"pedido factura ordine fattura zamówienie "
	linkWords = " me us him her them back on at is no nr num number nummer numéro número numero under unter my our the a it mich uns an " +
		"ist au le mi il al s "
)

// maxBefore is how much of the text before a number is looked at.
const maxBefore = 64

// wordFor says what the last word before a number makes of it; words that only link the two are passed over.
func wordFor(before string) about {
	if len(before) > maxBefore {
		before = before[len(before)-maxBefore:]
	}

	for range 5 {
		before = strings.TrimRightFunc(before, func(r rune) bool { return !isWord(r) && r != '\n' })

		last := before
		for last != "" {
			r, width := utf8.DecodeLastRuneInString(last)
			if !unicode.IsLetter(r) {
				break
			}

			last = last[:len(last)-width]
		}

		word := strings.ToLower(before[len(last):])
		before = last

		switch {
		case word == "":
			return aboutUnknown
		case strings.Contains(phoneWords, " "+word+" "):
			return aboutPhones
		case strings.Contains(otherWords, " "+word+" "):
			return aboutOther
		case !strings.Contains(linkWords, " "+word+" "):
			return aboutUnknown
		}
	}

	return aboutUnknown
}
