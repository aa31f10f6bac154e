package v1alpha1

import (
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/serinhq/serin/internal/agentspec"
)

// refusal is what is wrong with a field, in words.
type refusal struct{ field, words string }

// here is what agentspec says of an object; the others of the set are right.
func here(t testing.TB, object map[string]any, others string) []refusal {
	t.Helper()

	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}

	_, err = agentspec.LoadFS(fstest.MapFS{"object.yaml": {Data: data}, "others.yaml": {Data: []byte(others)}}, "")

	var problems agentspec.Problems
	if err != nil && !errors.As(err, &problems) {
		t.Fatal(err)
	}

	refusals := []refusal{}

	for _, problem := range problems {
		if problem.File != "others.yaml" {
			refusals = append(refusals, refusal{plainPath(problem.Field), common(problem.Message)})
		}
	}

	return refusals
}

// there is what an API server says of an object.
func there(t testing.TB, kind *crd, object map[string]any) field.ErrorList {
	t.Helper()

	return kind.create(t.Context(), copied(object))
}

func copied(object map[string]any) map[string]any {
	return whole(deep(object)).(map[string]any)
}

func deep(value any) any {
	switch value := value.(type) {
	case map[string]any:
		value = maps.Clone(value)
		for name, inner := range value {
			value[name] = deep(inner)
		}

		return value
	case []any:
		value = slices.Clone(value)
		for i, inner := range value {
			value[i] = deep(inner)
		}

		return value
	default:
		return value
	}
}

var mapKey = regexp.MustCompile(`\["?([^"\]0-9][^"\]]*)"?\]`)

// plainPath writes keys of maps in one way.
func plainPath(path string) string { return mapKey.ReplaceAllString(path, ".$1") }

var durationText = regexp.MustCompile(`[-+]?[0-9.]+(ns|µs|ms|s|m|h)[0-9.a-zµ]*`)

// common leaves out what rules can't say: what was probably meant, and where the first of two is. It writes durations in
// one way: rules repeat them as they were written.
func common(message string) string {
	message = regexp.MustCompile(`did you mean [^?]*\? `).ReplaceAllString(message, "")
	message = regexp.MustCompile(`(is listed twice): see .*`).ReplaceAllString(message, "$1")

	return durationText.ReplaceAllStringFunc(message, func(text string) string {
		if d, err := time.ParseDuration(text); err == nil {
			return d.String()
		}

		return text
	})
}

// says reports whether an API server says the same about the field, or about the list or map that it is in.
func says(problems field.ErrorList, want refusal) bool {
	return slices.ContainsFunc(problems, func(problem *field.Error) bool {
		path := plainPath(problem.Field)
		inside := want.field == path || around(want.field, path) && listed(want.words)

		return inside && (common(problem.Detail) == want.words || basic(problem, want.words) || fails(problem, want.words))
	})
}

func around(inner, outer string) bool { return strings.HasPrefix(inner, outer) }

// listed are the words that belong to an entry and are said of its list or map: a rule can't point at one of many.
func listed(words string) bool {
	return slices.ContainsFunc([]string{
		"is listed twice", "is not more than the step before", "not an environment variable", "a tool's name must not be empty",
		"want a program's name", "can't hand off to itself",
	}, func(known string) bool { return strings.Contains(words, known) })
}

// basic reports whether it is one of the few things that an API server looks at before any rule, and says in words of
// its own.
func basic(problem *field.Error, words string) bool {
	switch problem.Type {
	case field.ErrorTypeRequired:
		return strings.HasPrefix(words, "required")
	case field.ErrorTypeTooLong, field.ErrorTypeTooMany:
		return strings.HasSuffix(words, "are allowed")
	case field.ErrorTypeTypeInvalid:
		return strings.HasPrefix(words, "want ")
	default:
		return false
	}
}

// fails reports whether the evaluation of a rule itself fails, which the API server says in front of our words: for what
// is no regular expression, and for durations of centuries.
func fails(problem *field.Error, words string) bool {
	why, ours, ok := strings.Cut(problem.Detail, " evaluating rule: ")
	_, reason, _ := strings.Cut(words, ": ")

	return ok && (strings.HasPrefix(words, ours) && strings.Contains(why, reason) ||
		strings.HasPrefix(ours, "out of range") && strings.HasPrefix(words, "want a duration"))
}

// keepsRulesOut reports whether something basic is wrong, so that no rule is looked at.
func keepsRulesOut(problems field.ErrorList) bool {
	return slices.ContainsFunc(problems, func(problem *field.Error) bool {
		switch problem.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return true
		default:
			return false
		}
	})
}
