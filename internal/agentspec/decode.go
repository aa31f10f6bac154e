package agentspec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decoder fills structs from YAML nodes, strictly: what a struct does not have is a problem at its place.
type decoder struct {
	report *report
}

// value decodes a node into a settable value.
func (d *decoder) value(node *yaml.Node, path string, f field, into reflect.Value) {
	d.report.see(path, node)

	switch {
	case node.Kind == yaml.AliasNode:
		d.report.add(path, "aliases are not supported; write the value out")
	case isNull(node): // absent, as in kubectl
	case into.Type() == durationType:
		d.duration(node, path, f, into)
	case into.Type() == objectType:
		d.foreign(node, path, into)
	case into.Kind() == reflect.Pointer:
		fresh := reflect.New(into.Type().Elem())
		d.value(node, path, f, fresh.Elem())
		into.Set(fresh)
	case into.Kind() == reflect.Struct:
		d.object(node, path, into)
	case into.Kind() == reflect.Map:
		d.entries(node, path, into)
	case into.Kind() == reflect.Slice:
		d.list(node, path, into)
	default:
		d.scalar(node, path, f, into)
	}
}

// object decodes a mapping into a struct.
func (d *decoder) object(node *yaml.Node, path string, into reflect.Value) {
	fields := fieldsOf(into.Type())

	for name, value := range d.pairs(node, path, join) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		if i < 0 {
			names := make([]string, len(fields))
			for j, f := range fields {
				names[j] = f.name
			}

			d.report.add(join(path, name), "unknown field; %s", allowed(name, names))

			continue
		}

		d.value(value, join(path, name), fields[i], into.Field(fields[i].index))
	}
}

// entries decodes a mapping into a map with string keys.
func (d *decoder) entries(node *yaml.Node, path string, into reflect.Value) {
	entries := reflect.MakeMap(into.Type())

	for name, value := range d.pairs(node, path, key) {
		fresh := reflect.New(into.Type().Elem()).Elem()
		d.value(value, key(path, name), field{}, fresh)
		entries.SetMapIndex(reflect.ValueOf(name), fresh)
	}

	if entries.Len() > 0 {
		into.Set(entries)
	}
}

// pairs yields the keys and values of a mapping that have a right to be there.
func (d *decoder) pairs(node *yaml.Node, path string, name func(path, key string) string) func(func(string, *yaml.Node) bool) {
	return func(yield func(string, *yaml.Node) bool) {
		if node.Kind != yaml.MappingNode {
			d.report.add(path, "want a mapping, not %s", describe(node))

			return
		}

		seen := map[string]int{}

		for i := 0; i+1 < len(node.Content); i += 2 {
			keyNode, value := node.Content[i], node.Content[i+1]
			if problem := badKey(keyNode); problem != "" {
				d.report.addAt(path, keyNode.Line, keyNode.Column, "%s", problem)

				continue
			}

			full := name(path, keyNode.Value)
			if line, twice := seen[keyNode.Value]; twice {
				d.report.addAt(full, keyNode.Line, keyNode.Column, "duplicate key; it is set on line %d already", line)

				continue
			}

			seen[keyNode.Value] = keyNode.Line
			d.report.see(full, keyNode)

			if !yield(keyNode.Value, value) {
				return
			}
		}
	}
}

func badKey(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.ScalarNode && node.ShortTag() == "!!merge":
		return "merge keys are not supported; write the fields out"
	case node.Kind != yaml.ScalarNode || node.ShortTag() != "!!str":
		return fmt.Sprintf("a key is a text, not %s; put it in quotes", describe(node))
	default:
		return ""
	}
}

// list decodes a sequence into a slice.
func (d *decoder) list(node *yaml.Node, path string, into reflect.Value) {
	if node.Kind != yaml.SequenceNode {
		d.report.add(path, "want a list, not %s", describe(node))

		return
	}

	if len(node.Content) == 0 {
		return
	}

	items := reflect.MakeSlice(into.Type(), len(node.Content), len(node.Content))
	for i, item := range node.Content {
		if isNull(item) {
			d.report.see(at(path, i), item)
			d.report.add(at(path, i), "an empty entry; write a value or remove it")

			continue
		}

		d.value(item, at(path, i), field{}, items.Index(i))
	}

	into.Set(items)
}

func (d *decoder) duration(node *yaml.Node, path string, f field, into reflect.Value) {
	parsed, err := time.ParseDuration(node.Value)
	if node.Kind != yaml.ScalarNode || err != nil {
		d.report.add(path, `want a duration such as 30s, 2m or 1h30m, not %s`, describe(node))

		return
	}

	into.SetInt(int64(parsed))
	d.refuseZero(path, f, into)
}

// scalar decodes a text, number or truth value.
func (d *decoder) scalar(node *yaml.Node, path string, f field, into reflect.Value) {
	tags, want := scalarTags(into.Kind())
	if node.Kind != yaml.ScalarNode || !slices.Contains(tags, node.ShortTag()) {
		hint := ""
		if into.Kind() == reflect.String && node.Kind == yaml.ScalarNode {
			hint = "; put it in quotes"
		}

		d.report.add(path, "want %s, not %s%s", want, describe(node), hint)

		return
	}

	if err := node.Decode(into.Addr().Interface()); err != nil { // the kind fits, so the number is too big for the field
		d.report.add(path, "%s is out of range", describe(node))

		return
	}

	if into.Kind() != reflect.Float64 {
		d.refuseZero(path, f, into)
	}
}

// refuseZero refuses a written 0 where the least is more: in the struct it would look like "not given".
func (d *decoder) refuseZero(path string, f field, into reflect.Value) {
	if f.tag.Get("min") == "" || !into.IsZero() {
		return
	}

	hint := "leave it out instead"
	if fallback, ok := f.tag.Lookup("default"); ok {
		hint = "leave it out for the default, " + fallback
	}

	d.report.add(path, "0 is out of range, %s to %s; %s", f.tag.Get("min"), f.tag.Get("max"), hint)
}

func scalarTags(kind reflect.Kind) (tags []string, want string) {
	switch kind { //nolint:exhaustive // the types of this package have no others
	case reflect.String:
		return []string{"!!str"}, "a text"
	case reflect.Bool:
		return []string{"!!bool"}, "true or false"
	case reflect.Float64:
		return []string{"!!float", "!!int"}, "a number"
	default:
		return []string{"!!int"}, "a whole number"
	}
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// describe says what a node is, in words.
func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	case yaml.ScalarNode:
		return describeScalar(node)
	case yaml.DocumentNode:
		return "a document"
	default:
		return "nothing"
	}
}

func describeScalar(node *yaml.Node) string {
	switch tag := node.ShortTag(); tag {
	case "!!str":
		return "the text " + quote(node.Value)
	case "!!int", "!!float":
		return "the number " + strings.Trim(quote(node.Value), `"`)
	case "!!bool":
		return node.Value
	case "!!null":
		return "nothing"
	case "!!timestamp":
		return "the date " + node.Value
	default:
		return "a value tagged " + quote(tag)
	}
}
