package xds

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// grammar is which fields of a kind mean something here: paths without indices, as they are written in YAML.
type grammar struct {
	allowed []string
	// reasons say why well-known other fields are refused.
	reasons map[string]string
}

const unknownField = "not supported on one machine; take it out, or apply the object to a cluster"

// walk reports every field that is set and not allowed.
func (g grammar) walk(message protoreflect.Message, shown, path string, problems *problems) {
	for _, set := range populated(message) {
		name := set.field.JSONName()
		g.visit(set.field, set.value, shown+"."+name, strings.TrimPrefix(path+"."+name, "."), problems)
	}
}

type populatedField struct {
	field protoreflect.FieldDescriptor
	value protoreflect.Value
}

// populated are the fields that are set, in the order of their declaration.
func populated(message protoreflect.Message) []populatedField {
	var fields []populatedField

	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		fields = append(fields, populatedField{field, value})

		return true
	})
	slices.SortFunc(fields, func(a, b populatedField) int { return a.field.Index() - b.field.Index() })

	return fields
}

func (g grammar) visit(field protoreflect.FieldDescriptor, value protoreflect.Value, shown, path string, problems *problems) {
	if !slices.Contains(g.allowed, path) {
		problems.add(shown, "%s", g.reason(path))

		return
	}

	switch {
	case field.IsList():
		for i := range value.List().Len() {
			g.element(field, value.List().Get(i), fmt.Sprintf("%s[%d]", shown, i), path, problems)
		}
	case field.IsMap():
		value.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
			if !utf8.ValidString(key.String()) {
				problems.add(shown, "the key %q is not UTF-8", key.String())
			}

			g.element(field.MapValue(), value, fmt.Sprintf("%s[%s]", shown, key.String()), path, problems)

			return true
		})
	default:
		g.element(field, value, shown, path, problems)
	}
}

func (g grammar) element(field protoreflect.FieldDescriptor, value protoreflect.Value, shown, path string, problems *problems) {
	switch field.Kind() { //nolint:exhaustive // numbers and booleans have no inside
	case protoreflect.MessageKind:
		if field.Message().ParentFile().Package() != "google.protobuf" {
			g.walk(value.Message(), shown, path, problems)
		}
	case protoreflect.StringKind:
		if !utf8.ValidString(value.String()) {
			problems.add(shown, "%q is not UTF-8", value.String())
		}
	default:
	}
}

func (g grammar) reason(path string) string {
	if reason, ok := g.reasons[path]; ok {
		return reason
	}

	// A policy may stand in several places: the last part says as much.
	if reason, ok := g.reasons["*"+path[strings.LastIndexByte(path, '.')+1:]]; ok {
		return reason
	}

	return unknownField
}

// under prefixes every path.
func under(prefix string, paths ...string) []string {
	prefixed := append(make([]string, 0, 1+len(paths)), prefix)
	for _, path := range paths {
		prefixed = append(prefixed, prefix+"."+path)
	}

	return prefixed
}
