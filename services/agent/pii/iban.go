package pii

import "strings"

// ibanLengths are those of ISO 13616, by country.
const ibanLengths = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18" +
	"FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24" +
	"ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28" +
	"TL23TN24TR26UA29VA22VG24XK20YE30"

// ibans finds international bank account numbers with their country's length and the check of ISO 7064 (mod 97).
func ibans(text string) []match {
	var found []match

	for at := 0; at+4 <= len(text); at++ {
		if !isLetter(text[at]) || !isLetter(text[at+1]) || wordBefore(text, at) {
			continue
		}

		if end, normal := ibanEnd(text, at); end > 0 {
			found = append(found, match{start: at, end: end, kind: IBAN, same: normal})
			at = end - 1
		}
	}

	return found
}

// ibanEnd returns where the IBAN that begins at a place ends, and the IBAN without separators; 0 if none does.
func ibanEnd(text string, at int) (end int, normal string) {
	length := ibanLength(strings.ToUpper(text[at : at+2]))
	if length == 0 {
		return 0, ""
	}

	characters := make([]byte, 0, length)

	for len(characters) < length {
		if at >= len(text) {
			return 0, ""
		}

		if char := text[at]; isLetter(char) || char >= '0' && char <= '9' {
			characters = append(characters, char)
			at++

			continue
		}

		width := separatorAt(text, at, "")
		if width == 0 || at+width >= len(text) || separatorAt(text, at+width, "") > 0 {
			return 0, ""
		}

		at += width
	}

	normal = strings.ToUpper(string(characters))
	if wordAt(text, at) || !mod97(normal[4:]+normal[:4]) {
		return 0, ""
	}

	return at, normal
}

func ibanLength(country string) int {
	at := strings.Index(ibanLengths, country)
	if at < 0 {
		return 0
	}

	return int(ibanLengths[at+2]-'0')*10 + int(ibanLengths[at+3]-'0')
}

// mod97 reports whether digits and letters, A as 10 and Z as 35, leave 1.
func mod97(text string) bool {
	rest := 0

	for i := range len(text) {
		if char := text[i]; char >= 'A' {
			rest = (rest*100 + int(char-'A') + 10) % 97
		} else {
			rest = (rest*10 + int(char-'0')) % 97
		}
	}

	return rest == 1
}

func isLetter(char byte) bool { return char|0x20 >= 'a' && char|0x20 <= 'z' }
