package agentspec

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf16"
)

// tree turns a value into maps, lists and scalars with the names of files. Fields that keep does not want are left out,
// and so are empty maps and nil values; entries of lists and maps stay.
func tree(value reflect.Value, keep func(field, reflect.Value) bool) any {
	switch {
	case value.Type() == durationType:
		return value.Interface().(Duration).String() //nolint:forcetypeassert // it was just compared
	case value.Type() == objectType:
		return value.Interface().(Object).tree() //nolint:forcetypeassert // it was just compared
	case value.Kind() == reflect.Pointer:
		return tree(value.Elem(), keep)
	case value.Kind() == reflect.Struct:
		return structTree(value, keep)
	case value.Kind() == reflect.Slice:
		items := make([]any, value.Len())
		for i := range items {
			items[i] = tree(value.Index(i), keep)
		}

		return items
	case value.Kind() == reflect.Map:
		entries := map[string]any{}
		for _, name := range value.MapKeys() {
			entries[name.String()] = tree(value.MapIndex(name), keep)
		}

		return entries
	default:
		return value.Interface()
	}
}

func structTree(value reflect.Value, keep func(field, reflect.Value) bool) map[string]any {
	entries := map[string]any{}

	for _, f := range fieldsOf(value.Type()) {
		inner := value.Field(f.index)
		if inner.IsZero() || !keep(f, inner) {
			continue
		}

		branch := tree(inner, keep)
		if !isEmpty(branch) {
			entries[f.name] = branch
		}
	}

	return entries
}

func isEmpty(branch any) bool {
	value := reflect.ValueOf(branch)

	return (value.Kind() == reflect.Map || value.Kind() == reflect.Slice) && value.Len() == 0
}

// canonical writes a tree as JSON in the one form of RFC 8785: keys sorted by UTF-16 units, no white space, shortest
// numbers, only necessary escapes.
func canonical(out *bytes.Buffer, branch any) {
	switch branch := branch.(type) {
	case map[string]any:
		separator := byte('{')

		for _, name := range slices.SortedFunc(maps.Keys(branch), byUTF16) {
			out.WriteByte(separator)
			writeText(out, name)
			out.WriteByte(':')
			canonical(out, branch[name])

			separator = ','
		}

		if separator == '{' {
			out.WriteByte('{')
		}

		out.WriteByte('}')
	case []any:
		out.WriteByte('[')

		for i, item := range branch {
			if i > 0 {
				out.WriteByte(',')
			}

			canonical(out, item)
		}

		out.WriteByte(']')
	case string:
		writeText(out, branch)
	default:
		writeScalar(out, branch)
	}
}

// writeScalar writes a number or truth value; encoding/json writes floats as ECMAScript does, which is what the RFC asks.
func writeScalar(out *bytes.Buffer, scalar any) {
	if f, ok := scalar.(float64); ok && f == 0 {
		scalar = 0 // without the sign of a negative zero
	}

	data, err := json.Marshal(scalar)
	must(err)
	out.Write(data)
}

// byUTF16 orders by UTF-16 code units, which differs from the order of bytes beyond the basic plane.
func byUTF16(a, b string) int {
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

// writeText writes a JSON string. encoding/json escapes more than the RFC does.
func writeText(out *bytes.Buffer, text string) {
	out.WriteByte('"')

	for _, r := range text {
		if short, ok := shortEscapes[r]; ok {
			out.WriteString(short)
		} else if r < ' ' {
			out.WriteString(`\u00` + string("0123456789abcdef"[r>>4]) + strconv.FormatInt(int64(r&15), 16))
		} else {
			out.WriteRune(r)
		}
	}

	out.WriteByte('"')
}

var shortEscapes = map[rune]string{
	'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`,
}
