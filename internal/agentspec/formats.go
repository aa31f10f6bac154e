package agentspec

import (
	"regexp"
	"strconv"
	"strings"
)

// The most bytes that names may have. An agent's leaves room for a revision in the names made from it.
const (
	maxName  = 40
	maxLabel = 63
	// maxTenant is the most bytes that a tenant may have.
	maxTenant = 128
)

// The platform's own tools.
const (
	ToolClock      = "clock"
	ToolCalculator = "calculator"
)

// BuiltinTools returns the names of the platform's own tools.
func BuiltinTools() []string { return []string{ToolCalculator, ToolClock} }

var (
	labelForm  = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)
	digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	usdForm    = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,6})?$`)
	imageForm  = regexp.MustCompile(`^[a-z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}$`)
	toolForm   = regexp.MustCompile(`^([a-z][a-z0-9-]*_(\*|[a-zA-Z0-9_.-]+)|[a-z]+)$`)
)

// check returns what is wrong with a text of the named form; empty if nothing is.
func check(format, text string) string {
	switch format {
	case "name":
		return checkName(text)
	case "label":
		return checkLabel(text, maxLabel)
	case "regexp":
		if _, err := regexp.Compile(text); err != nil {
			return "not a regular expression of RE2: " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		}
	case "digest":
		return unless(digestForm, text, "want sha256: and 64 hex digits in lower case")
	case "usd":
		if amount, _ := strconv.ParseFloat(text, 64); amount <= 0 || !usdForm.MatchString(text) {
			return quote(text) + ` is not an amount: want a number above 0 with at most 6 decimals, such as "0.25"`
		}
	case "image":
		return unless(imageForm, text, "want an image by digest: name@sha256: and 64 hex digits")
	case "tool":
		return unless(toolForm, text, "want server_tool, server_* or one of "+strings.Join(BuiltinTools(), ", "))
	}

	return ""
}

func unless(form *regexp.Regexp, text, want string) string {
	if form.MatchString(text) {
		return ""
	}

	return quote(text) + ": " + want
}

func checkName(text string) string {
	if problem := checkLabel(text, maxName); problem != "" {
		return problem
	}

	if strings.HasPrefix(text, "serin-") {
		return quote(text) + ": names that begin with serin- are the platform's own"
	}

	return ""
}

func checkLabel(text string, most int) string {
	if len(text) > most || !labelForm.MatchString(text) {
		return quote(text) + ": want a DNS label: a lower case letter, then lower case letters, digits and -, at most " +
			strconv.Itoa(most) + " characters"
	}

	return ""
}
