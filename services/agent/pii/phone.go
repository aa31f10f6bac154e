package pii

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// The most digits of a number by E.164, and the fewest that are taken for one.
const (
	maxPhone = 15
	minPhone = 8
)

// dialled is a number in groups of digits, as people write them.
type dialled struct {
	// groups are the digits of each group; ends is where each ends in the text.
	groups []string
	ends   []int
	// between is what stands after each group but the last.
	between []string
}

// phones finds phone numbers: with a country's code after + or 00; as North America writes them (415-555-2671); as the
// countries with a 0 in front do (030 901820); and any after a word such as phone, tel or call me at. Numbers after words
// such as order or invoice are none.
func phones(text string) []match {
	var found []match

	for at := 0; at < len(text); {
		char := text[at]
		begins := char == '+' || char == '(' || isDigit(text, at)

		if !begins || wordBefore(text, at) {
			at = skip(text, at)

			continue
		}

		if end, normal := phoneEnd(text, at); end > 0 {
			found = append(found, match{start: at, end: end, kind: Phone, same: normal})
			at = end
		} else {
			at = skip(text, at)
		}
	}

	return found
}

// skip passes over a run of digits, or over one character.
func skip(text string, at int) int {
	if end := runEnd(text, at); end > at {
		return end
	}

	_, width := utf8.DecodeRuneInString(text[at:])

	return at + width
}

func phoneEnd(text string, at int) (end int, normal string) {
	if text[at] == '+' {
		return international(text, at, at+1)
	}

	if strings.HasPrefix(text[at:], "00") && !oddBefore(text, at) {
		if end, normal := international(text, at, at+2); end > 0 {
			return end, normal
		}
	}

	number := dial(text, at, false)
	if len(number.groups) == 0 {
		return 0, ""
	}

	switch word := wordFor(text[:at]); {
	case word == aboutOther:
		return 0, ""
	case word == aboutPhones:
		return number.upTo(maxPhone, func(groups []string) bool { return len(strings.Join(groups, "")) >= minPhone-2 && !number.isDate() })
	case oddBefore(text, at):
		return 0, ""
	}

	if end, normal := number.american(text); end > 0 {
		return end, normal
	}

	return number.withTrunk(text)
}

// international reads a number whose country code begins at a place.
func international(text string, start, at int) (end int, normal string) {
	number := dial(text, at, start > 0 && text[start-1] == '(')
	if len(number.groups) == 0 {
		return 0, ""
	}

	bare := text[start] != '+' && len(number.groups) == 1

	return number.upTo(maxPhone+1, func(groups []string) bool {
		digits := e164(groups)

		return assigned(digits) && len(digits) <= maxPhone && (!bare || len(digits) >= minPhone+2)
	})
}

// e164 are the digits of a number with a country's code, without the 0 that is dialled within the country only.
func e164(groups []string) string {
	if len(groups) > 1 && groups[1] == "0" {
		groups = slices.Delete(slices.Clone(groups), 1, 2)
	}

	return strings.Join(groups, "")
}

// assigned reports whether a number begins with a country's code and is as long as its numbers are.
func assigned(digits string) bool {
	switch {
	case len(digits) < minPhone || digits[0] == '0':
		return false
	case digits[0] == '1' || digits[0] == '7':
		return len(digits) == 11
	default:
		const unassigned = " 28 83 89 "

		return !strings.Contains(unassigned, " "+digits[:2]+" ")
	}
}

// upTo takes as many groups as make a number of at most so many digits that is right.
func (n dialled) upTo(most int, right func(groups []string) bool) (end int, normal string) {
	for count := len(n.groups); count > 0; count-- {
		groups := n.groups[:count]
		if digits := strings.Join(groups, ""); len(digits) <= most && right(groups) {
			return n.ends[count-1], e164(groups)
		}
	}

	return 0, ""
}

// american reads a number of the North American plan: three, three and four digits, maybe after a 1.
func (n dialled) american(text string) (end int, normal string) {
	groups := n.groups
	if groups[0] == "1" {
		groups = groups[1:]
	}

	if len(groups) < 3 || len(groups[0]) != 3 || len(groups[1]) != 3 || len(groups[2]) != 4 || groups[0][0] < '2' || groups[1][0] < '2' {
		return 0, ""
	}

	last := len(n.groups) - len(groups) + 2
	if followed(text, n.ends[last]) {
		return 0, ""
	}

	return n.ends[last], "1" + groups[0] + groups[1] + groups[2]
}

// withTrunk reads a number with a 0 in front, in at least two groups.
func (n dialled) withTrunk(text string) (end int, normal string) {
	first := n.groups[0]
	if len(first) < 2 || len(first) > 6 || first[0] != '0' || first[1] == '0' || n.isDate() {
		return 0, ""
	}

	end, normal = n.upTo(12, func(groups []string) bool {
		for _, group := range groups[1:] {
			if len(group) < 2 {
				return false
			}
		}

		return len(groups) > 1 && len(strings.Join(groups, "")) >= minPhone+1 && !n.isAddress(len(groups))
	})
	if end > 0 && followed(text, end) {
		return 0, ""
	}

	return end, normal
}

// isDate reports whether the number begins like 01.02.2026, 2026-02-01 or 01/02/26.
func (n dialled) isDate() bool {
	if len(n.groups) < 3 || n.between[0] != n.between[1] || strings.Trim(n.between[0], "./-") != "" {
		return false
	}

	day, month, year := n.groups[0], n.groups[1], n.groups[2]
	if len(day) == 4 {
		day, year = year, day
	}

	return len(day) <= 2 && len(month) <= 2 && (len(year) == 4 || len(year) == 2) &&
		num(day) <= 31 && num(month) <= 31 && (num(month) <= 12 || num(day) <= 12) && n.between[0] != ""
}

// isAddress reports whether so many groups look like a machine's address, 010.020.030.040.
func (n dialled) isAddress(groups int) bool {
	return groups == 4 && n.between[0] == "." && n.between[1] == "." && n.between[2] == "."
}

// followed reports whether what follows makes a number a part of something longer: a fraction, a time or a code.
func followed(text string, at int) bool {
	if wordAt(text, at) {
		return true
	}

	return at < len(text) && strings.IndexByte(".,:-/_", text[at]) >= 0 && wordAt(text, at+1)
}

// oddBefore reports whether what stands before a number says that it is a part of something longer, or money.
func oddBefore(text string, at int) bool {
	r, _ := utf8.DecodeLastRuneInString(text[:at])

	return strings.ContainsRune("-./_#$€£¥+*", r)
}

// dial reads a number that begins with a digit or a parenthesis; opened says that one is open already.
func dial(text string, at int, opened bool) dialled {
	var number dialled

	if !opened && at < len(text) && text[at] == '(' {
		opened = true
		at++
	}

	for total := 0; ; {
		end := runEnd(text, at)
		if end == at || total > maxPhone {
			return number
		}

		digits := digitsOf(text[at:end])
		total += len(digits)
		number.groups, number.ends = append(number.groups, digits), append(number.ends, end)

		width := gap(text, end, &opened)
		if width == 0 || !isDigit(text, end+width) {
			return number
		}

		number.between = append(number.between, text[end:end+width])
		at = end + width
	}
}

// gap returns the width of what may stand between two groups: a space, a dash, a dot, a slash, parentheses with or
// without a space around them, or a dash between spaces.
func gap(text string, at int, opened *bool) int {
	width := 0

	if *opened && strings.HasPrefix(text[at:], ")") {
		*opened = false
		width++

		return width + separatorAt(text, at+width, "./")
	}

	width = separatorAt(text, at, "./")

	if !*opened && strings.HasPrefix(text[at+width:], "(") {
		*opened = true

		return width + 1
	}

	if width == 1 && text[at] == ' ' {
		if dash := separatorAt(text, at+1, "/"); dash > 0 && text[at+1] != ' ' {
			return width + dash + separatorAt(text, at+width+dash, "")
		}
	}

	return width
}
