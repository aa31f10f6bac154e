package main

import (
	"reflect"
	"slices"
	"strings"
)

// explain adds to a field's description what its tags say, for `kubectl explain`.
func explain(into *schema, t reflect.Type, tag reflect.StructTag) {
	facts := []string{}

	if tag.Get("required") == "true" {
		facts = append(facts, "Required.")
	}

	if fallback, ok := tag.Lookup("default"); ok {
		facts = append(facts, "Default: "+strings.ReplaceAll(fallback, ",", ", ")+".")
	}

	if values := enum(tag); values != nil {
		facts = append(facts, "Allowed: "+strings.Join(values, ", ")+".")
	}

	if fact := limit(t, tag.Get("min"), tag.Get("max")); fact != "" {
		facts = append(facts, fact)
	}

	if len(facts) > 0 {
		into.Description += "\n" + strings.Join(facts, " ")
	}
}

func limit(t reflect.Type, least, most string) string {
	switch {
	case most == "":
		return ""
	case least != "":
		return "From " + least + " to " + most + "."
	case t.Kind() == reflect.String:
		return "At most " + most + " bytes."
	default:
		return "At most " + most + " entries."
	}
}

func enum(tag reflect.StructTag) []string {
	values := tag.Get("enum")
	if values == "" {
		return nil
	}

	return slices.Sorted(strings.SplitSeq(values, ","))
}
