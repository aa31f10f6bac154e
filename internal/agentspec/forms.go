package agentspec

import (
	"regexp"
	"strconv"
	"strings"
)

// The platform's own tools.
const (
	ToolClock      = "clock"
	ToolCalculator = "calculator"
)

// BuiltinTools returns the names of the platform's own tools.
func BuiltinTools() []string { return []string{ToolCalculator, ToolClock} }

// The most characters that names may have. An agent's leaves room for a revision in the names made from it.
const (
	maxName  = 40
	maxLabel = 63
)

// Form is one thing that must hold for a text of a named format.
//
// +kubebuilder:object:generate=false
type Form struct {
	// Pattern is a regular expression of RE2 that the text must match, or, if Not is set, must not match.
	Pattern *regexp.Regexp
	Not     bool
	// Message follows the quoted text in the message about one for which it does not hold.
	Message string
}

// forms are the named formats; what is looked at last stands last.
var forms = map[string][]Form{
	"name": {
		label(maxName),
		{regexp.MustCompile(`^serin-`), true, ": names that begin with serin- are the platform's own"},
	},
	"label":  {label(maxLabel)},
	"digest": {want(`^sha256:[0-9a-f]{64}$`, ": want sha256: and 64 hex digits in lower case")},
	"usd":    {want(`^[0-9]{1,9}(\.[0-9]{1,6})?$`, notUSD), want(`[1-9]`, notUSD)},
	"image": {want(`^[a-z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}$`,
		": want an image by digest: name@sha256: and 64 hex digits")},
	"tool": {want(`^([a-z][a-z0-9-]*_(\*|[a-zA-Z0-9_.-]+)|[a-z]+)$`,
		": want server_tool, server_* or one of "+strings.Join(BuiltinTools(), ", "))},
	"subdomain": {want(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`,
		": want a name of Kubernetes: lower case letters, digits, - and ., at most 253 characters")},
	"url": {want(`^https?://[a-zA-Z0-9.:\[\]-]+(/[^ ?#]*)?(\?[^ #]*)?$`,
		": want a URL such as https://tools.example.com/mcp, without user, password and fragment")},
	"path":     {want(`^/[^ ?#]*$`, ": want a path that begins with /, such as /invoices/{id}; parameters say what is in the query")},
	"env":      {want(`^[a-zA-Z_][a-zA-Z0-9_]*$`, ": want the name of an environment variable: letters, digits and _")},
	"line":     {want(`^[ -~]*$`, ": want one line of ASCII characters")},
	"header":   {want(`^[a-zA-Z0-9!#$%&*+.^_|~-]+$`, ": want a name without spaces, such as X-Team"), reserved},
	"httptool": {want(`^[a-zA-Z0-9_-]{1,64}$`, ": want a name of letters, digits, - and _, at most 64 characters")},
	"key":      {want(`^[a-zA-Z0-9._-]{1,253}$`, ": want a key of a ConfigMap: letters, digits, -, _ and ., at most 253 characters")},
}

// reserved are the headers that say how a request is sent.
var reserved = Form{
	regexp.MustCompile(`^(?i)(host|connection|content-length|content-type|transfer-encoding|upgrade|te|trailer|keep-alive|` +
		`proxy-.*|mcp-.*|last-event-id|idempotency-key)$`), true, ": Serin sets this header itself",
}

const notUSD = ` is not an amount: want a number above 0 with at most 6 decimals, such as "0.25"`

// Forms returns what must hold for texts of the named format, in the order in which it is looked at; the first that does
// not is reported. There are none for regexp: such a text must be a regular expression itself.
func Forms(format string) []Form { return forms[format] }

func want(pattern, message string) Form { return Form{regexp.MustCompile(pattern), false, message} }

// label is a DNS label; it begins with a letter, as names of Services must.
func label(most int) Form {
	return want(`^[a-z]([a-z0-9-]{0,`+strconv.Itoa(most-2)+`}[a-z0-9])?$`,
		": want a DNS label: a lower case letter, then lower case letters, digits and -, at most "+
			strconv.Itoa(most)+" characters")
}

// check returns what is wrong with a text of the named format; empty if nothing is.
func check(format, text string) string {
	if format == "regexp" {
		if _, err := regexp.Compile(text); err != nil {
			return "not a regular expression of RE2: " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		}
	}

	for _, form := range forms[format] {
		if form.Pattern.MatchString(text) == form.Not {
			return quote(text) + form.Message
		}
	}

	return ""
}
