package webapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// schemas makes JSON Schemas (2020-12) of a document's, for arguments.
type schemas struct {
	components map[string]any
	// old is whether they are those of OpenAPI 3.0, which has ways of its own.
	old bool
}

const componentRef = "#/components/schemas/"

// finish makes the schema of all arguments, with those in it that it refers to.
func (s schemas) finish(input *object) (json.RawMessage, error) {
	whole := map[string]any{"type": "object", "additionalProperties": false}
	work := &conversion{schemas: s, definitions: map[string]any{}}

	properties := map[string]any{}

	for name, schema := range input.properties {
		made, err := work.convert(schema)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}

		properties[name] = made
	}

	whole["properties"] = properties

	if len(input.required) > 0 {
		whole["required"] = input.required
	}

	if len(work.definitions) > 0 {
		whole["$defs"] = work.definitions
	}

	data, err := json.Marshal(whole)
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}

	return data, nil
}

// conversion is the making of one schema.
type conversion struct {
	schemas

	definitions map[string]any
}

// notForModels are fields of a schema that say nothing of what is valid.
var notForModels = []string{"example", "xml", "discriminator", "externalDocs", "nullable", "readOnly", "writeOnly", "$schema", "$id"}

// Fields of a schema that hold schemas: one, several, or one per name.
var (
	oneSchema    = []string{"items", "not", "additionalProperties", "contains", "propertyNames", "if", "then", "else", "unevaluatedItems", "unevaluatedProperties", "contentSchema"}
	someSchemas  = []string{"allOf", "anyOf", "oneOf", "prefixItems"}
	namedSchemas = []string{"properties", "patternProperties", "dependentSchemas", "$defs"}
)

// convert makes a JSON Schema of a document's.
func (c *conversion) convert(tree any) (any, error) {
	from, ok := tree.(map[string]any)
	if !ok {
		return tree, nil // true and false
	}

	if ref, ok := from["$ref"].(string); ok && c.old { // what is beside it does not count
		made := map[string]any{}
		if words, ok := from["description"].(string); ok {
			made["description"] = words
		}

		return made, c.refer(made, ref)
	}

	made := map[string]any{}

	for name, value := range from {
		if err := c.field(made, name, value); err != nil {
			return nil, err
		}
	}

	c.dropReadOnly(made, from)
	c.modernise(made, from)

	return made, nil
}

// field converts one field of a schema.
func (c *conversion) field(made map[string]any, name string, value any) (err error) {
	switch {
	case slices.Contains(notForModels, name), strings.HasPrefix(name, "x-"):
	case name == "$ref":
		ref, ok := value.(string)
		if !ok {
			return errors.New("$ref is no text")
		}

		err = c.refer(made, ref)
	case name == "pattern": // documents are written for other engines; the server looks at the value too
		if text, ok := value.(string); ok && isPattern(text) {
			made[name] = text
		}
	case slices.Contains(oneSchema, name):
		made[name], err = c.convert(value)
	case slices.Contains(someSchemas, name):
		made[name], err = c.list(value)
	case slices.Contains(namedSchemas, name):
		made[name], err = c.named(value)
	default:
		made[name] = value
	}

	return err
}

func isPattern(text string) bool {
	_, err := regexp.Compile(text)

	return err == nil
}

func (c *conversion) list(value any) (any, error) {
	from, ok := value.([]any)
	if !ok {
		return value, nil
	}

	made := make([]any, len(from))

	for i, each := range from {
		var err error
		if made[i], err = c.convert(each); err != nil {
			return nil, err
		}
	}

	return made, nil
}

func (c *conversion) named(value any) (any, error) {
	from, ok := value.(map[string]any)
	if !ok {
		return value, nil
	}

	made := make(map[string]any, len(from))

	for name, each := range from {
		var err error
		if made[name], err = c.convert(each); err != nil {
			return nil, err
		}
	}

	return made, nil
}

// refer points to a component's schema, which becomes a definition.
func (c *conversion) refer(made map[string]any, ref string) error {
	name, ok := strings.CutPrefix(ref, componentRef)
	if !ok || strings.ContainsAny(name, "/~%") {
		return fmt.Errorf("it refers to %q, and Serin follows references to %s alone", ref, componentRef)
	}

	schema, ok := c.components[name]
	if !ok {
		return fmt.Errorf("it refers to %q, which there is not", ref)
	}

	made["$ref"] = "#/$defs/" + name

	if _, begun := c.definitions[name]; begun {
		return nil
	}

	c.definitions[name] = nil // so that one that refers to itself ends

	converted, err := c.convert(schema)
	c.definitions[name] = converted

	return err
}

// dropReadOnly takes out of an object what only answers have.
func (c *conversion) dropReadOnly(made, from map[string]any) {
	properties, ok := from["properties"].(map[string]any)
	if !ok {
		return
	}

	kept, _ := made["properties"].(map[string]any)

	for name, property := range properties {
		if fields, ok := property.(map[string]any); ok && fields["readOnly"] == true {
			delete(kept, name)
			made["required"] = without(made["required"], name)
		}
	}

	if list, ok := made["required"].([]any); ok && len(list) == 0 || made["required"] == nil {
		delete(made, "required")
	}
}

func without(list any, name string) any {
	names, ok := list.([]any)
	if !ok {
		return list
	}

	return slices.DeleteFunc(slices.Clone(names), func(each any) bool { return each == name })
}

// modernise brings what OpenAPI 3.0 has of its own into the form of JSON Schema.
func (c *conversion) modernise(made, from map[string]any) {
	if !c.old {
		return
	}

	for exclusive, bound := range map[string]string{"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"} {
		if strict, isBool := from[exclusive].(bool); isBool {
			delete(made, exclusive)

			if limit, has := from[bound]; strict && has {
				made[exclusive] = limit
				delete(made, bound)
			}
		}
	}

	if from["nullable"] != true {
		return
	}

	if kind, ok := made["type"].(string); ok {
		made["type"] = []any{kind, "null"}
	}

	if values, ok := made["enum"].([]any); ok && !slices.Contains(values, nil) {
		made["enum"] = append(slices.Clone(values), nil)
	}

	for _, of := range []string{"allOf", "anyOf", "oneOf"} {
		if _, ok := made[of]; ok && made["type"] == nil {
			inner := maps.Clone(made)
			clear(made)
			made["anyOf"] = []any{inner, map[string]any{"type": "null"}}

			return
		}
	}
}
