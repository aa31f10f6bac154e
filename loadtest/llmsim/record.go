package llmsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// record is a JSON object in a tool's result.
type record struct {
	// kind is the stem of what it is in: the key of a list, or the tool's name.
	kind   string
	fields map[string]any
}

// records are the objects in the results of calls, in order, outer ones after the ones within: those say more.
func records(calls []done) []record {
	found := []record{}

	for _, call := range calls {
		var value any
		if !call.answered || json.Unmarshal([]byte(call.result), &value) != nil || failed(call.result) {
			continue
		}

		kind := ""
		if words := split(call.name); len(words) > 0 {
			kind = stem(words[len(words)-1])
		}

		found = append(found, collect(value, kind)...)
	}

	return found
}

func collect(value any, kind string) []record {
	switch value := value.(type) {
	case []any:
		found := make([]record, 0, len(value))
		for _, item := range value {
			found = append(found, collect(item, kind)...)
		}

		return found
	case map[string]any:
		found := []record{}

		for _, key := range slices.Sorted(maps.Keys(value)) {
			words := split(key)
			if len(words) > 0 {
				found = append(found, collect(value[key], stem(words[len(words)-1]))...)
			}
		}

		return append(found, record{kind: kind, fields: value})
	default:
		return nil
	}
}

// get finds a field by its name, or an id by what it is the id of: invoice_id is the id of an invoice.
func (r record) get(name string) (any, bool) {
	if value, found := r.fields[name]; found && scalar(value) {
		return value, true
	}

	noun, isID := strings.CutSuffix(name, "_id")
	if !isID {
		noun, isID = strings.CutSuffix(name, "Id")
	}

	if words := split(noun); isID && len(words) > 0 && stem(words[len(words)-1]) == r.kind {
		value, found := r.fields["id"]

		return value, found && scalar(value)
	}

	return nil, false
}

func scalar(value any) bool {
	switch value.(type) {
	case string, float64, bool:
		return true
	default:
		return false
	}
}

// goneStates are those in which nothing can be done with a record any more.
var goneStates = stems("refunded cancelled canceled booked taken unavailable closed voided expired deleted rejected")

// suits says how well a record fits what the words ask for.
func (r record) suits(words []keyword, dates []string, text string) float64 {
	score := 0.0

	for key, value := range r.fields {
		if !scalar(value) {
			continue
		}

		written := strings.ToLower(fmt.Sprint(value))
		score += r.fieldSuits(key, written, words, text)

		for _, date := range dates {
			if strings.Contains(written, date) {
				score += 2
			}
		}
	}

	return score
}

// fieldSuits says what one field adds to that.
func (r record) fieldSuits(key, written string, words []keyword, text string) float64 {
	switch {
	case r.duplicateField(key, written):
		return evidence(words, "refund") * 3
	case len(written) > 2 && strings.Contains(strings.ToLower(text), written) && strings.ContainsAny(written, "0123456789"):
		return 5
	case goneStates[stem(written)] && written != "", (key == "available" || key == "free") && written == "false":
		return -10
	case (key == "booked" || key == "taken" || key == "refunded") && written == "true":
		return -10
	default:
		return 0
	}
}

func (r record) duplicateField(key, written string) bool {
	return written != "" && written != "false" &&
		(strings.HasPrefix(key, "duplicate") || key == "status" && strings.HasPrefix(written, "duplicate"))
}

// duplicate reports whether the record says that it is one.
func (r record) duplicate() bool {
	for key, value := range r.fields {
		if value != nil && scalar(value) && r.duplicateField(key, strings.ToLower(fmt.Sprint(value))) {
			return true
		}
	}

	return false
}

func evidence(words []keyword, concept string) float64 {
	for _, word := range words {
		if word.concept == concept {
			return 1
		}
	}

	return 0
}
