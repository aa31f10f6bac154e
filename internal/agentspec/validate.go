package agentspec

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Validate returns what is wrong with the agent by itself, by field; a [Set] knows what else must fit together.
func (a *Agent) Validate() Problems {
	v := &validator{}
	v.value(reflect.ValueOf(a).Elem(), "", field{})
	v.agent(&a.Spec)

	return v.problems
}

// Validate returns what is wrong with the server by itself, by field.
func (s *MCPServer) Validate() Problems {
	v := &validator{}
	v.value(reflect.ValueOf(s).Elem(), "", field{})
	v.server(s)

	return v.problems
}

type validator struct{ problems Problems }

func (v *validator) add(path, format string, args ...any) {
	v.problems = append(v.problems, Problem{Field: path, Message: fmt.Sprintf(format, args...)})
}

// value checks what the tags say.
func (v *validator) value(value reflect.Value, path string, f field) {
	if value.IsZero() && value.Kind() != reflect.Struct {
		if f.required() {
			v.add(path, "required")
		}

		return
	}

	v.limits(value, path, f)

	switch kind := value.Kind(); {
	case value.Type() == objectType: // defined elsewhere
	case kind == reflect.Pointer && value.Elem().Kind() == reflect.Struct:
		v.value(value.Elem(), path, f)
	case kind == reflect.Pointer: // what is pointed to was given, even if it is 0
		v.limits(value.Elem(), path, f)
	case kind == reflect.Struct:
		for _, inner := range fieldsOf(value.Type()) {
			v.value(value.Field(inner.index), join(path, inner.name), inner)
		}

		v.upTo(value, path)
	case kind == reflect.Slice, kind == reflect.Map:
		each(value, path, func(path string, entry reflect.Value) { v.value(entry, path, field{}) })
		v.entries(value, path, f)
	case kind == reflect.String:
		v.text(value.String(), path, f)
	}
}

func sortedKeys(value reflect.Value) []reflect.Value {
	return slices.SortedFunc(slices.Values(value.MapKeys()), func(a, b reflect.Value) int {
		return strings.Compare(a.String(), b.String())
	})
}

// shown is a number or duration as a person would write it.
func shown(value reflect.Value) string {
	if d, ok := reflect.TypeAssert[Duration](value); ok {
		return d.short()
	}

	return fmt.Sprint(value.Interface())
}

func (v *validator) text(text, path string, f field) {
	if !utf8.ValidString(text) {
		v.add(path, "not valid UTF-8")
	}

	if enum := f.enum(); enum != nil && !slices.Contains(enum, text) {
		v.add(path, "%s is unknown; %s", quote(text), allowed(text, enum))
	}

	if problem := check(f.tag.Get("format"), text); problem != "" {
		v.add(path, "%s", problem)
	}
}

// limits checks the tags min and max.
func (v *validator) limits(value reflect.Value, path string, f field) {
	least, most := f.tag.Get("min"), f.tag.Get("max")
	if most == "" {
		return
	}

	switch {
	case value.Type() == durationType, value.CanInt():
		low, high := parseTag(value.Type(), least).Int(), parseTag(value.Type(), most).Int()
		if n := value.Int(); n < low || n > high {
			v.add(path, "%s is out of range, %s to %s", shown(value), least, most)
		}
	case value.CanFloat():
		low, _ := strconv.ParseFloat(least, 64)
		high, _ := strconv.ParseFloat(most, 64)

		if n := value.Float(); math.IsNaN(n) || n < low || n > high {
			v.add(path, "%v is out of range, %s to %s", n, least, most)
		}
	case value.Kind() == reflect.String:
		if high, _ := strconv.Atoi(most); value.Len() > high {
			v.add(path, "%d bytes are too many, %s are allowed", value.Len(), most)
		}
	case value.Kind() == reflect.Slice, value.Kind() == reflect.Map:
		if high, _ := strconv.Atoi(most); value.Len() > high {
			v.add(path, "%d entries are too many, %s are allowed", value.Len(), most)
		}
	}
}
