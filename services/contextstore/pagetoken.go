package contextstore

import (
	"encoding/base64"
	"strings"

	"github.com/serinhq/serin/internal/fault"
)

// pageTokenPrefix is the version of page tokens.
const pageTokenPrefix = "1:"

// pageToken names the last conversation of a page; the next page holds what is older.
func pageToken(last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(pageTokenPrefix + last))
}

// parsePageToken returns the conversation that a token names; none for the empty token.
func parsePageToken(token string) (string, error) {
	if token == "" {
		return "", nil
	}

	text, err := base64.RawURLEncoding.Strict().DecodeString(token)
	last, ours := strings.CutPrefix(string(text), pageTokenPrefix)

	if err != nil || !ours || last == "" {
		return "", fault.Invalid(fault.Violation{
			Field: "page_token", Message: "must be the next_page_token of the page before, as it was given",
		})
	}

	return last, nil
}
