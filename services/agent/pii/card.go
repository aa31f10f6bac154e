package pii

import "strings"

// The fewest and the most digits of a card's number.
const (
	minCard = 13
	maxCard = 19
)

// cards finds numbers of payment cards: 13 to 19 digits in any groups, of a known range and with Luhn's check digit.
func cards(text string) []match {
	var found []match

	for at := 0; at < len(text); {
		digit, width := digitAt(text, at)

		if digit < 0 {
			at += width

			continue
		}

		end := cardEnd(text, at)
		if end > 0 {
			found = append(found, match{start: at, end: end, kind: Card, same: digitsOf(text[at:end])})
		}

		at = max(end, runEnd(text, at))
	}

	return found
}

// cardEnd returns where the longest card's number that begins at a place ends; 0 if none does.
func cardEnd(text string, at int) int {
	digits, end := make([]byte, 0, maxCard), 0

	for {
		digit, width := digitAt(text, at)
		if digit < 0 {
			width = separators(text, at, "._/")
			if width == 0 || !isDigit(text, at+width) {
				return end
			}

			at += width

			continue
		}

		if len(digits) == maxCard {
			return end
		}

		digits = append(digits, "0123456789"[digit])
		at += width

		if len(digits) >= minCard && !isDigit(text, at) && isCard(string(digits)) {
			end = at
		}
	}
}

func isCard(digits string) bool { return issued(digits) && luhn(digits) }

// issued reports whether cards of such numbers exist: American Express, Diners and JCB begin with 3, Visa with 4,
// Mastercard and Maestro with 5 and 2, Mir with 2, Discover, Maestro, RuPay and UnionPay with 6, UnionPay and RuPay with
// 81 and 82, Troy with 9792, and UATP's 15 digits with 1.
func issued(digits string) bool {
	switch digits[0] {
	case '2', '3', '4', '5', '6':
		return true
	case '1':
		return len(digits) == 15
	default:
		return strings.HasPrefix(digits, "81") || strings.HasPrefix(digits, "82") || strings.HasPrefix(digits, "9792")
	}
}
