package rpc

import (
	"errors"
	"fmt"
	"strings"
)

// headerForwarded carries whom proxies on the way have verified, in Envoy's own form: elements separated by commas, one
// per proxy, each of key=value pairs separated by semicolons; values may be quoted, with \" for a quote.
const headerForwarded = "x-forwarded-client-cert"

// forwardedIdentity returns whom the last proxy has verified. What stands before was there when the request came, so
// that the caller may have made it up.
func forwardedIdentity(values []string) (Identity, error) {
	if len(values) != 1 {
		return Identity{}, fmt.Errorf("want one header %s, not %d", headerForwarded, len(values))
	}

	pairs, err := parseForwarded(lastForwarded(values[0]))
	if err != nil {
		return Identity{}, fmt.Errorf("header %s: %w", headerForwarded, err)
	}

	uris := []string{}

	for _, pair := range pairs {
		if strings.EqualFold(pair.key, "URI") && pair.value != "" {
			uris = append(uris, pair.value)
		}
	}

	if len(uris) != 1 {
		return Identity{}, fmt.Errorf("header %s: want one URI in its last element, not %d", headerForwarded, len(uris))
	}

	return ParseIdentity(uris[0])
}

// lastForwarded returns the last element. It is looked for from the end, so that nothing before it, such as a quote that
// is never closed, changes what is taken for it.
func lastForwarded(value string) string {
	quoted := false

	for i := len(value) - 1; i >= 0; i-- {
		switch {
		case value[i] == '"' && !isEscaped(value, i):
			quoted = !quoted
		case value[i] == ',' && !quoted:
			return value[i+1:]
		}
	}

	return value
}

// isEscaped reports whether an odd number of backslashes stands before.
func isEscaped(text string, at int) bool {
	before := strings.TrimRight(text[:at], `\`)

	return (at-len(before))%2 == 1
}

type forwardedPair struct{ key, value string }

// parseForwarded reads the pairs of one element.
func parseForwarded(element string) ([]forwardedPair, error) {
	pairs := []forwardedPair{}

	for rest := strings.TrimSpace(element); rest != ""; {
		key, after, found := strings.Cut(rest, "=")
		if !found || key == "" || strings.ContainsAny(key, `";`) {
			return nil, fmt.Errorf("want key=value pairs, not %q", rest)
		}

		value, remaining, err := forwardedValue(after)
		if err != nil {
			return nil, err
		}

		pairs = append(pairs, forwardedPair{key, value})
		rest = remaining
	}

	return pairs, nil
}

// forwardedValue reads a value up to the semicolon that ends it, or the end.
func forwardedValue(text string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		value, rest, _ = strings.Cut(text, ";")
		if strings.Contains(value, `"`) {
			return "", "", errors.New("a quote within a value that is not quoted")
		}

		return value, rest, nil
	}

	for i := 1; i < len(text); i++ {
		if text[i] != '"' || isEscaped(text, i) {
			continue
		}

		rest = text[i+1:]
		if rest != "" && !strings.HasPrefix(rest, ";") {
			return "", "", errors.New("a quoted value must be followed by a semicolon")
		}

		return strings.ReplaceAll(text[1:i], `\"`, `"`), strings.TrimPrefix(rest, ";"), nil
	}

	return "", "", errors.New("a quote is not closed")
}
