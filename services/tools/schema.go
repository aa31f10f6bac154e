package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// maxProblem is how many bytes a message about a bad value may have: messages quote values, and models read them.
const maxProblem = 1024

// checkArguments returns the arguments as they go to the tool: what was validated, no more and no less (of a field that
// is given twice the last one), with numbers as they were written.
func checkArguments(schema *jsonschema.Resolved, raw string) (json.RawMessage, error) {
	if strings.TrimSpace(raw) == "" {
		raw = "{}"
	}

	exact, err := decodeObject(raw)
	if err != nil {
		return nil, err
	}

	arguments, err := json.Marshal(exact)
	if err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}

	var plain map[string]any
	if err := json.Unmarshal(arguments, &plain); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}

	if err := validate(schema, plain); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}

	return arguments, nil
}

func decodeObject(raw string) (map[string]any, error) {
	decoder := json.NewDecoder(strings.NewReader(raw))
	decoder.UseNumber()

	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("arguments: not a JSON object: %w", err)
	}

	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("arguments: more than one JSON value; want one object")
	}

	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("arguments: want a JSON object, such as {}")
	}

	return object, nil
}

// validate returns what is wrong with a decoded JSON value, with the field's name in it.
func validate(schema *jsonschema.Resolved, value any) error {
	err := schema.Validate(value)
	if err == nil {
		return nil
	}

	text := err.Error()
	// The library names the root, and then the place below it.
	text = strings.TrimPrefix(text, "validating root: ")
	text = strings.ReplaceAll(text, "validating /properties/", "/")
	text = strings.ReplaceAll(text, "/properties/", "/")

	return errors.New(clip(text, maxProblem))
}

// encode is JSON as a person would write it, without escapes for HTML.
func encode(value any) (string, error) {
	var buffer bytes.Buffer

	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)

	if err := encoder.Encode(value); err != nil {
		return "", fmt.Errorf("encoding: %w", err)
	}

	return strings.TrimSuffix(buffer.String(), "\n"), nil
}
