package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/serinhq/serin/internal/agentspec"
)

type schema = apiextensionsv1.JSONSchemaProps

var (
	durationType = reflect.TypeFor[agentspec.Duration]()
	objectType   = reflect.TypeFor[agentspec.Object]()
)

// describe completes the schema of a whole object.
func describe(root *schema, spec reflect.Type) error {
	inner, ok := root.Properties["spec"]
	if !ok {
		return errors.New("the schema has no spec")
	}

	if err := object(&inner, "spec", spec); err != nil {
		return err
	}

	root.Properties["spec"] = inner
	root.Required = []string{"metadata", "spec"}
	metadata(root)

	return nil
}

// object completes the schema of a struct.
func object(into *schema, path string, t reflect.Type) error {
	into.Required = nil

	for f := range t.Fields() {
		name := jsonName(f)

		property, ok := into.Properties[name]
		if !ok {
			return fmt.Errorf("%s: the schema has no property %s", path, name)
		}

		if f.Tag.Get("required") == "true" {
			into.Required = append(into.Required, name)
		}

		if err := value(&property, path+"."+name, f.Type, f.Tag); err != nil {
			return err
		}

		into.Properties[name] = property

		if other, ok := f.Tag.Lookup("upto"); ok {
			into.XValidations = append(into.XValidations, upTo(name, other, f.Type))
		}
	}

	slices.Sort(into.Required)

	return nil
}

// value completes the schema of a field's value.
func value(into *schema, path string, t reflect.Type, tag reflect.StructTag) error {
	optional := t.Kind() == reflect.Pointer
	if optional {
		t = t.Elem()
	}

	if err := fallback(into, t, tag, optional); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}

	explain(into, t, tag)

	switch {
	case t == objectType:
		return nil
	case t == durationType:
		duration(into, tag)
	case t.Kind() == reflect.Struct:
		return object(into, path, t)
	case t.Kind() == reflect.Slice:
		return list(into, path, t, tag)
	case t.Kind() == reflect.Map:
		return mapping(into, path, t, tag)
	case t.Kind() == reflect.String:
		text(into, tag)
	default:
		number(into, t, tag)
	}

	return nil
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")

	return name
}

// fallback gives a field its default. A struct without one gets an empty one, so that the defaults below it are seen,
// unless it is optional: then being there says something by itself.
func fallback(into *schema, t reflect.Type, tag reflect.StructTag, optional bool) error {
	written, ok := tag.Lookup("default")

	var standard any = written

	switch {
	case !ok && t.Kind() == reflect.Struct && !optional && hasDefaults(t):
		standard = map[string]any{}
	case !ok:
		return nil
	case t.Kind() == reflect.Slice:
		standard = json.RawMessage("[" + written + "]")
	case t != durationType && t.Kind() != reflect.String:
		standard = json.RawMessage(written)
	}

	raw, err := json.Marshal(standard)
	if err != nil {
		return fmt.Errorf("default %q: %w", written, err)
	}

	into.Default = &apiextensionsv1.JSON{Raw: raw}

	return nil
}

func hasDefaults(t reflect.Type) bool {
	for f := range t.Fields() {
		if _, ok := f.Tag.Lookup("default"); ok || f.Type.Kind() == reflect.Struct && hasDefaults(f.Type) {
			return true
		}
	}

	return false
}
