package schema

import (
	"fmt"
	"slices"
	"strconv"
)

// CheckTypes finds a type that JSON does not have, which a validator would never let pass: a typing error, mostly. It
// looks at a decoded schema.
func CheckTypes(schema any) error { return checkTypes(schema, "", false) }

// checkTypes looks at a schema, or, where names stand for schemas, at a map of them.
func checkTypes(value any, path string, names bool) error {
	switch value := value.(type) {
	case []any:
		for i, item := range value {
			if err := checkTypes(item, path+"/"+strconv.Itoa(i), false); err != nil {
				return err
			}
		}
	case map[string]any:
		if wrong := wrongType(value["type"]); wrong != "" && !names {
			return fmt.Errorf("the type %.64q at #%s is none of JSON's: %v", wrong, path, types())
		}

		for key, item := range value {
			if !names && slices.Contains([]string{"default", "const", "enum", "examples"}, key) {
				continue
			}

			inner := !names && slices.Contains([]string{"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}, key)
			if err := checkTypes(item, path+"/"+escapePointer(key), inner); err != nil {
				return err
			}
		}
	}

	return nil
}

func types() []string {
	return []string{"array", "boolean", "integer", "null", "number", "object", "string"}
}

// wrongType returns a type's name that there is not.
func wrongType(value any) string {
	switch value := value.(type) {
	case string:
		if !slices.Contains(types(), value) {
			return value
		}
	case []any:
		for _, item := range value {
			if wrong := wrongType(item); wrong != "" {
				return wrong
			}
		}
	}

	return ""
}
