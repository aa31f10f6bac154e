// Package schema makes validators of JSON Schemas that others wrote.
package schema

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// Compile resolves a JSON Schema. References to other documents are refused: nothing is fetched.
func Compile(raw []byte) (*jsonschema.Resolved, error) {
	if err := checkRecursion(raw); err != nil {
		return nil, err
	}

	var schema jsonschema.Schema
	if err := json.Unmarshal(raw, &schema); err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}

	resolved, err := schema.Resolve(nil)
	if err != nil {
		return nil, fmt.Errorf("resolving the schema: %w", err)
	}

	// An unknown $schema is only told about by validating something.
	if err := resolved.Validate(map[string]any{}); err != nil && strings.HasPrefix(err.Error(), "cannot validate version") {
		return nil, err //nolint:wrapcheck // it says which versions there are
	}

	return resolved, nil
}
