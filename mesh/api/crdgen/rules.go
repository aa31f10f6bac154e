package main

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/serinhq/serin/internal/agentspec"
)

// longest is the most characters of a text of a named form or of a set. Its own rules are stricter and speak for
// themselves; this only bounds what evaluating them may cost.
const longest = 1024

// text adds what the tags say of a text.
func text(into *schema, tag reflect.StructTag) {
	if tag.Get("required") == "true" {
		say(into, "self != ''", "required")
	}

	if values := enum(tag); values != nil {
		bound(into)
		tell(into, "self in ['', '"+strings.Join(values, "', '")+"']", "unknown",
			words("%s is unknown; allowed here: "+strings.Join(values, ", "), quoted("self")))
	}

	if most, err := strconv.ParseInt(tag.Get("max"), 10, 64); err == nil {
		bytes(into, most)
	}

	if format := tag.Get("format"); format == "regexp" {
		say(into, "type(''.matches(self)) == bool", "not a regular expression of RE2")
	} else if format != "" {
		bound(into)
		forms(into, "self", format)
	}
}

// bound limits a text's characters, if nothing does.
func bound(into *schema) {
	if into.MaxLength == nil {
		most := int64(longest)
		into.MaxLength = &most
	}
}

// bytes limits a text in bytes. The schema counts characters, so that it lets pass what has others than ASCII.
func bytes(into *schema, most int64) {
	into.MaxLength = &most
	tell(into, fmt.Sprintf("size(bytes(self)) <= %d", most), fmt.Sprintf("at most %d bytes are allowed", most),
		words(fmt.Sprintf("%%s bytes are too many, %d are allowed", most), "size(bytes(self))"))
}

// forms adds what must hold for texts of a named format; the first that does not is told.
func forms(into *schema, self, format string) {
	before := self + " == ''"

	for _, form := range agentspec.Forms(format) {
		holds := matches(self, form.Pattern.String())
		if form.Not {
			holds = "!" + holds
		}

		tell(into, before+" || "+holds, strings.TrimPrefix(form.Message, ": "), words("%s"+form.Message, quoted(self)))

		before = "!" + matches(self, form.Pattern.String()) + " || " + before
	}
}

// number adds the range of a number.
func number(into *schema, t reflect.Type, tag reflect.StructTag) {
	least, most := tag.Get("min"), tag.Get("max")
	if most == "" {
		return
	}

	low, high := least, most
	if t.Kind() == reflect.Float64 {
		low, high = double(least), double(most)
	}

	said := fmt.Sprintf(" is out of range, %s to %s", least, most)
	message := words("%s"+said, "self")

	if t.Kind() != reflect.Float64 {
		message = fmt.Sprintf("self == 0 ? %s : %s", literal("0"+said+hint(tag)), message)
	}

	tell(into, fmt.Sprintf("self >= %s && self <= %s", low, high), "out of range, "+least+" to "+most, message)
}

// double writes a number of CEL that is not a whole one by type.
func double(text string) string {
	if strings.Contains(text, ".") {
		return text
	}

	return text + ".0"
}

// hint is what to do instead of writing 0.
func hint(tag reflect.StructTag) string {
	if fallback, ok := tag.Lookup("default"); ok {
		return "; leave it out for the default, " + fallback
	}

	return "; leave it out instead"
}
