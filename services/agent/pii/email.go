package pii

import (
	"strings"
	"unicode/utf8"
)

// emails finds e-mail addresses as people write them, in any script: no quoted names, no addresses of machines.
func emails(text string) []match {
	var found []match

	for from, at := 0, 0; ; {
		next := strings.IndexByte(text[at:], '@')
		if next < 0 {
			return found
		}

		at += next

		start, end := mailboxStart(text, from, at), domainEnd(text, at+1)
		if start < at && end > 0 {
			found = append(found, match{start: start, end: end, kind: Email, same: strings.ToLower(text[start:end])})
			from, at = end, end
		} else {
			at++
		}
	}
}

// mailboxStart returns where the name before an @ begins, not before from.
func mailboxStart(text string, from, at int) int {
	start := at

	for start > from {
		r, width := utf8.DecodeLastRuneInString(text[from:start])
		if !isWord(r) && !strings.ContainsRune("._%+-'~", r) {
			break
		}

		start -= width
	}

	for start < at && strings.IndexByte(".%+-'~", text[start]) >= 0 {
		start++
	}

	return start
}

// domainEnd returns where a domain with at least one dot ends; 0 if there is none.
func domainEnd(text string, at int) int {
	end := at

	for end < len(text) {
		r, width := utf8.DecodeRuneInString(text[end:])
		if !isWord(r) && r != '-' && r != '.' || r == '.' && strings.HasSuffix(text[at:end], ".") {
			break
		}

		end += width
	}

	for domain := strings.TrimRight(text[at:end], "-."); ; {
		dot := strings.LastIndexByte(domain, '.')
		if dot <= 0 {
			return 0
		}

		if isTop(domain[dot+1:]) {
			return at + len(domain)
		}

		domain = strings.TrimRight(domain[:dot], "-.")
	}
}

// isTop reports whether a label may be the last one of a domain.
func isTop(label string) bool {
	return utf8.RuneCountInString(label) >= 2 && !strings.ContainsAny(label, "0123456789-") || strings.HasPrefix(strings.ToLower(label), "xn--")
}
