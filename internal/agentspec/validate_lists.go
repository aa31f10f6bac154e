package agentspec

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// entries checks what the tags items, of, blank and unique say of a list or map.
func (v *validator) entries(value reflect.Value, path string, f field) {
	if most, err := strconv.Atoi(f.tag.Get("items")); err == nil {
		each(value, path, func(path string, entry reflect.Value) {
			if entry.Len() > most {
				v.add(path, "%d bytes are too many, %d are allowed", entry.Len(), most)
			}
		})
	}

	if of := f.tag.Get("of"); of != "" {
		each(value, path, func(path string, entry reflect.Value) {
			if known := strings.Split(of, ","); !slices.Contains(known, entry.String()) {
				v.add(path, "%s is unknown; %s", quote(entry.String()), allowed(entry.String(), known))
			}
		})
	}

	if f.tag.Get("blank") == "no" {
		each(value, path, func(path string, entry reflect.Value) {
			if isBlank(entry.String()) {
				v.add(path, "an empty entry; write a value or remove it")
			}
		})
	}

	if name, ok := f.tag.Lookup("unique"); ok {
		v.unique(value, path, name)
	}
}

// each visits the entries of a list, or those of a map by the order of their names.
func each(value reflect.Value, path string, visit func(path string, entry reflect.Value)) {
	if value.Kind() == reflect.Map {
		for _, name := range sortedKeys(value) {
			visit(key(path, name.String()), value.MapIndex(name))
		}

		return
	}

	for i := range value.Len() {
		visit(at(path, i), value.Index(i))
	}
}

// unique reports names that a list has twice; without the name of a field the entries are the names.
func (v *validator) unique(list reflect.Value, path, name string) {
	first := map[string]string{}

	each(list, path, func(path string, entry reflect.Value) {
		text, place := entry, path
		if name != "" {
			text, place = fieldNamed(entry, name), join(path, name)
		}

		if before, twice := first[text.String()]; twice {
			v.add(place, "%s is listed twice: see %s", quote(text.String()), before)
		} else {
			first[text.String()] = path
		}
	})
}

// upTo compares fields that must not exceed one beside them. What was not written counts as its default.
func (v *validator) upTo(value reflect.Value, path string) {
	filled := reflect.New(value.Type()).Elem()
	filled.Set(value)

	for _, f := range fieldsOf(value.Type()) {
		name, ok := f.tag.Lookup("upto")
		if !ok {
			continue
		}

		fill(filled) // its numbers and durations only: what it shares with the value has no defaults

		if low, high := filled.Field(f.index), fieldNamed(filled, name); low.Int() > high.Int() {
			v.add(join(path, f.name), "%s is more than %s, %s", shown(low), name, shown(high))
		}
	}
}

func fieldNamed(value reflect.Value, name string) reflect.Value {
	for _, f := range fieldsOf(value.Type()) {
		if f.name == name {
			return value.Field(f.index)
		}
	}

	panic("agentspec: bad tag: no field " + name)
}
