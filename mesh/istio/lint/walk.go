package lint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// place is a value in an object: of a list its element, of a map its value.
type place struct {
	root, parent protoreflect.Message
	field        protoreflect.FieldDescriptor
	value        protoreflect.Value
}

// text is the value of a text, a number or an enum's name, as people write it.
func (p place) text() string {
	if p.field.Kind() == protoreflect.EnumKind {
		if named := p.field.Enum().Values().ByNumber(p.value.Enum()); named != nil {
			return string(named.Name())
		}

		return strconv.Itoa(int(p.value.Enum()))
	}

	return p.value.String()
}

// verdict is what a rule says of a value; the zero value finds nothing wrong.
type verdict struct {
	severity Severity
	message  string
}

// rule judges a value. A value that it finds nothing wrong with is looked into.
type rule func(place) verdict

// table judges the fields of a kind, by their paths without indices, as they are written in YAML.
type table struct {
	rules map[string]rule
	// alias brings the paths of what may stand in several places together; nil for none.
	alias *strings.Replacer
	// outside reports whether a message does not concern proxyless gRPC; nil if all does.
	outside func(path string, message protoreflect.Message, root protoreflect.Message) bool
}

func works(place) verdict { return verdict{} }

func always(severity Severity, message string) rule {
	return func(place) verdict { return verdict{severity, message} }
}

func ignored(message string) rule { return always(Ignored, message) }
func refused(message string) rule { return always(Refused, message) }

// unless takes some values and says the same of all others.
func unless(v verdict, good ...string) rule {
	return func(p place) verdict {
		if slices.Contains(good, p.text()) {
			return verdict{}
		}

		return v
	}
}

const unjudged = "Serin does not know whether proxyless gRPC does this; leave it out"

// rule returns who judges a path.
func (t table) rule(path string) rule {
	if t.alias != nil {
		path = t.alias.Replace(path)
	}

	if found := t.rules[path]; found != nil {
		return found
	}

	return ignored(unjudged)
}

// walker goes through one object.
type walker struct {
	table

	root protoreflect.Message
	add  func(field, value string, v verdict)
}

// message visits the fields that are set, in the order of their declaration.
func (w walker) message(message protoreflect.Message, shown, path string) {
	if w.outside != nil && w.outside(path, message, w.root) {
		return
	}

	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		if field := fields.Get(i); message.Has(field) {
			name := field.JSONName()
			w.field(message, field, shown+"."+name, strings.TrimPrefix(path+"."+name, "."))
		}
	}
}

func (w walker) field(parent protoreflect.Message, field protoreflect.FieldDescriptor, shown, path string) {
	value := parent.Get(field)

	switch {
	case field.IsList():
		for i := range value.List().Len() {
			w.value(place{w.root, parent, field, value.List().Get(i)}, fmt.Sprintf("%s[%d]", shown, i), path)
		}
	case field.IsMap():
		for _, key := range keys(value.Map()) {
			w.value(place{w.root, parent, field.MapValue(), value.Map().Get(key)}, fmt.Sprintf("%s[%s]", shown, key.String()), path)
		}
	default:
		w.value(place{w.root, parent, field, value}, shown, path)
	}
}

func (w walker) value(p place, shown, path string) {
	if v := w.rule(path)(p); v.severity != "" {
		w.add(shown, written(p), v)

		return
	}

	if p.field.Kind() == protoreflect.MessageKind && p.field.Message().ParentFile().Package() != "google.protobuf" {
		w.message(p.value.Message(), shown, path)
	}
}

func keys(values protoreflect.Map) []protoreflect.MapKey {
	all := make([]protoreflect.MapKey, 0, values.Len())

	values.Range(func(key protoreflect.MapKey, _ protoreflect.Value) bool {
		all = append(all, key)

		return true
	})
	slices.SortFunc(all, func(a, b protoreflect.MapKey) int { return strings.Compare(a.String(), b.String()) })

	return all
}

// longest is how many bytes of a value are shown.
const longest = 80

// written is a value as JSON, cut if it is long.
func written(p place) string {
	switch p.field.Kind() { //nolint:exhaustive // all others are numbers and booleans
	case protoreflect.StringKind:
		return strconv.Quote(p.text())
	case protoreflect.MessageKind:
		return p.json()
	default:
		return p.text()
	}
}

// json is a message as compact JSON: protojson puts random spaces in.
func (p place) json() string {
	data, err := protojson.Marshal(p.value.Message().Interface())
	if err != nil {
		return ""
	}

	compact := &bytes.Buffer{}
	if err := json.Compact(compact, data); err != nil {
		return ""
	}

	if compact.Len() > longest {
		return strings.ToValidUTF8(compact.String()[:longest], "") + "..."
	}

	return compact.String()
}
