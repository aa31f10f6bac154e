package pii

import (
	"strconv"
	"strings"
)

// national is how a country writes its numbers of persons, and their check.
type national struct {
	// shape has d for a digit, a for a letter, x for either, c for Finland's signs of a century, - for a dash or a plus,
	// and ~ where people may write a space, a dash, a dot or a slash.
	shape string
	valid func(normal string) bool
}

// nationals are the numbers of persons that have check digits, of the countries that publish how they are reckoned.
func nationals() [14]national {
	return [14]national{
		{"dd~dd~dd~ddd~dd", belgian},
		{"ddd~ddd~ddd~dd", brazilian},
		{"dd~ddd~ddd~ddd", german},
		{"dddddddd~a", spanish},
		{"dd~ddd~ddd~a", spanish},
		{"a~ddddddd~a", spanish},
		{"ddddddcdddx", finnish},
		{"d~dd~dd~xx~ddd~ddd~dd", french},
		{"aaa~aaa~xxaxx~axxxa", italian},
		{"ddddddddddd", polish},
		{"dddddd-dddd", swedish},
		{"dddddddddd", swedish},
		{"dddddddd-dddd", swedish},
		{"dddddddddddd", swedish},
	}
}

// nationalIDs finds numbers of persons: they stand alone, and their check digits are right.
func nationalIDs(text string) []match {
	var found []match

	shapes := nationals()

	for at := 0; at < len(text); at++ {
		if char := text[at]; !isLetter(char) && (char < '0' || char > '9') || wordBefore(text, at) {
			continue
		}

		for _, country := range shapes {
			end, normal := country.read(text, at)
			if end > 0 && !wordAt(text, end) && country.valid(normal) {
				found = append(found, match{start: at, end: end, kind: NationalID, same: normal})
				at = end - 1

				break
			}
		}
	}

	return found
}

// read returns where a text of the shape that begins at a place ends, and the text in upper case without what is
// optional; 0 if none does.
func (n national) read(text string, at int) (end int, normal string) {
	var kept []byte

	for i := range len(n.shape) {
		if n.shape[i] == '~' {
			at += separatorAt(text, at, "./")

			continue
		}

		if at >= len(text) || !fits(n.shape[i], text[at]) {
			return 0, ""
		}

		kept = append(kept, text[at])
		at++
	}

	return at, strings.ToUpper(string(kept))
}

func fits(shape, char byte) bool {
	digit := char >= '0' && char <= '9'

	switch shape {
	case 'd':
		return digit
	case 'a':
		return isLetter(char)
	case 'x':
		return digit || isLetter(char)
	case 'c':
		return strings.IndexByte("+-YXWVUABCDEFyxwvuabcdef", char) >= 0
	default:
		return char == '-' || char == '+'
	}
}

// isDate reports whether digits may be a month and a day.
func isDate(month, day int) bool { return month >= 1 && month <= 12 && day >= 1 && day <= 31 }

// num is a number of at most 18 digits.
func num(digits string) int {
	value, _ := strconv.Atoi(digits) // the shape says that they are digits

	return value
}

// belgian is the Rijksregisternummer: mod 97, with a 2 in front for those born since 2000; months of others than citizens
// are 20 or 40 more.
func belgian(n string) bool {
	if month := num(n[2:4]); month > 52 || month%20 > 12 || num(n[4:6]) > 31 {
		return false
	}

	check := num(n[9:])

	return 97-num(n[:9])%97 == check || 97-num("2"+n[:9])%97 == check
}

// brazilian is the CPF: two check digits, mod 11.
func brazilian(n string) bool {
	if strings.Count(n, n[:1]) == len(n) {
		return false
	}

	for length := 9; length <= 10; length++ {
		sum := 0
		for i := range length {
			sum += int(n[i]-'0') * (length + 1 - i)
		}

		if byte('0'+sum*10%11%10) != n[length] {
			return false
		}
	}

	return true
}

// german is the Steuer-ID: ISO 7064 mod 11,10; of the first ten digits one is there twice or three times, no other twice.
func german(n string) bool {
	repeated := 0

	for digit := '0'; digit <= '9'; digit++ {
		if times := strings.Count(n[:10], string(digit)); times > 3 {
			return false
		} else if times > 1 {
			repeated++
		}
	}

	product := 10

	for i := range 10 {
		sum := (int(n[i]-'0') + product) % 10
		if sum == 0 {
			sum = 10
		}

		product = sum * 2 % 11
	}

	return n[0] != '0' && repeated == 1 && (11-product)%10 == int(n[10]-'0')
}

// spanish is the DNI, or the NIE with X, Y or Z in front: a letter, mod 23.
func spanish(n string) bool {
	digits := n[:8]

	if foreigner := strings.IndexByte("XYZ", n[0]); foreigner >= 0 {
		digits = strconv.Itoa(foreigner) + n[1:8]
	} else if isLetter(n[0]) {
		return false
	}

	return "TRWAGMYFPDXBNJZSQVHLCKE"[num(digits)%23] == n[8]
}

// finnish is the henkilötunnus: a date and a character, mod 31.
func finnish(n string) bool {
	return isDate(num(n[2:4]), num(n[:2])) && "0123456789ABCDEFHJKLMNPRSTUVWXY"[num(n[:6]+n[7:10])%31] == n[10]
}

// french is the NIR: mod 97, with Corsica's 2A and 2B as 19 and 18.
func french(n string) bool {
	place := strings.NewReplacer("2A", "19", "2B", "18").Replace(n[5:7])
	if strings.IndexByte("123478", n[0]) < 0 || isLetter(place[0]) || isLetter(place[1]) {
		return false
	}

	if month := num(n[3:5]); month < 1 || month > 12 && month < 20 || month > 42 && month < 50 {
		return false
	}

	return 97-num(n[:5]+place+n[7:13])%97 == num(n[13:])
}

// italian is the codice fiscale: a letter for the month, and one to check, from two tables for odd and even places.
func italian(n string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

	odd := [26]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
	sum := 0

	for i := range 15 {
		value := strings.IndexByte(letters, n[i])
		if value < 0 {
			value = int(n[i] - '0')
		}

		if i%2 == 0 {
			value = odd[value]
		}

		sum += value
	}

	for _, place := range [...]int{6, 7, 9, 10, 12, 13, 14} { // digits, or letters in their place
		if isLetter(n[place]) && strings.IndexByte("LMNPQRSTUV", n[place]) < 0 {
			return false
		}
	}

	return strings.IndexByte("ABCDEHLMPRST", n[8]) >= 0 && letters[sum%26] == n[15]
}

// polish is the PESEL: weights, mod 10; months of other centuries than the 20th are 20, 40, 60 or 80 more.
func polish(n string) bool {
	sum := 0
	for i := range 10 {
		sum += int(n[i]-'0') * [...]int{1, 3, 7, 9}[i%4]
	}

	return isDate(num(n[2:4])%20, num(n[4:6])) && (10-sum%10)%10 == int(n[10]-'0')
}

// swedish is the personnummer: a date, whose day may be 60 more, and Luhn's check digit.
func swedish(n string) bool {
	digits := digitsOf(n)
	if century := digits[:len(digits)-10]; century != "" && (century < "18" || century > "20") {
		return false
	}

	digits = digits[len(digits)-10:]

	return isDate(num(digits[2:4]), num(digits[4:6])%60) && luhn(digits)
}
