package agentspec

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

var durationType = reflect.TypeFor[Duration]()

// field is a field of a struct as files know it.
type field struct {
	index int
	name  string
	tag   reflect.StructTag
	kind  reflect.Type
}

// fieldsOf lists the fields of a struct type by their json tags, in order.
func fieldsOf(t reflect.Type) []field {
	fields := make([]field, t.NumField())
	for i := range fields {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[i] = field{index: i, name: name, tag: f.Tag, kind: f.Type}
	}

	return fields
}

func (f field) required() bool { return f.tag.Get("required") == "true" }

func (f field) enum() []string {
	values := f.tag.Get("enum")
	if values == "" {
		return nil
	}

	return strings.Split(values, ",")
}

// fallback is the value that the tag default stands for.
func (f field) fallback() (reflect.Value, bool) {
	text, ok := f.tag.Lookup("default")
	if !ok {
		return reflect.Value{}, false
	}

	return parseTag(f.kind, text), true
}

// parseTag reads a value of a tag; tags are constants of this package, so one that does not parse is a bug.
func parseTag(t reflect.Type, text string) reflect.Value {
	value := reflect.New(t).Elem()

	switch {
	case t == durationType:
		d, err := time.ParseDuration(text)
		must(err)
		value.SetInt(int64(d))
	case t.Kind() == reflect.String:
		value.SetString(text)
	case value.CanInt():
		n, err := strconv.ParseInt(text, 10, 64)
		must(err)
		value.SetInt(n)
	case t.Kind() == reflect.Slice:
		for part := range strings.SplitSeq(text, ",") {
			value = reflect.Append(value, parseTag(t.Elem(), part))
		}
	default:
		must(fmt.Errorf("no tag value of type %s", t))
	}

	return value
}

func must(err error) {
	if err != nil {
		panic("agentspec: bad tag: " + err.Error())
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}

	return path + "." + name
}

func at(path string, index int) string { return fmt.Sprintf("%s[%d]", path, index) }

// key names an entry of a map; names with dots are told apart by quotes.
func key(path, name string) string {
	if name == "" || strings.ContainsAny(name, ".[]\" ") {
		return fmt.Sprintf("%s[%s]", path, quote(name))
	}

	return join(path, name)
}
