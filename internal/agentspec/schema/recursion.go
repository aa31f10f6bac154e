package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxSteps bounds how often one value may be looked at: alternatives that refer to alternatives multiply.
const maxSteps = 10_000

// checkRecursion refuses schemas that would make a validator look at one and the same value for ever, such as
// {"$ref": "#"}: that would overflow the stack and end the process, and tool servers are not ours. To be able to tell, it
// refuses references other than JSON pointers within the document.
func checkRecursion(raw []byte) error {
	var document any
	if err := json.Unmarshal(raw, &document); err != nil {
		return fmt.Errorf("reading the schema: %w", err)
	}

	walk := &schemaWalk{document: document, steps: map[string]int{}}

	return walk.everywhere("", document)
}

// schemaWalk follows schemas that apply to the same value, named by their JSON pointers.
type schemaWalk struct {
	document any
	steps    map[string]int // that a schema takes; -1 while it is being counted
}

// everywhere checks a schema and all that is within it. What is no schema is harmless: nothing refers to it.
func (w *schemaWalk) everywhere(path string, value any) error {
	switch value := value.(type) {
	case []any:
		for i, item := range value {
			if err := w.everywhere(path+"/"+strconv.Itoa(i), item); err != nil {
				return err
			}
		}
	case map[string]any:
		if id, ok := value["$id"].(string); ok && path != "" {
			return fmt.Errorf("$id %.256q within a schema is not supported", id)
		}

		if _, err := w.count(path); err != nil {
			return err
		}

		for key, item := range value {
			if slices.Contains([]string{"default", "const", "enum", "examples"}, key) {
				continue
			}

			if err := w.everywhere(path+"/"+escapePointer(key), item); err != nil {
				return err
			}
		}
	}

	return nil
}

// count returns how many schemas are applied to a value by this one.
func (w *schemaWalk) count(path string) (int, error) {
	switch known := w.steps[path]; {
	case known < 0:
		return 0, fmt.Errorf("the schema at #%s refers to itself without end", path)
	case known > 0:
		return known, nil
	}

	w.steps[path] = -1

	next, err := w.applied(path)
	if err != nil {
		return 0, err
	}

	total := 1

	for _, each := range next {
		steps, err := w.count(each)
		if err != nil {
			return 0, err
		}

		if total += steps; total > maxSteps {
			return 0, errors.New("the schema's alternatives are too many")
		}
	}

	w.steps[path] = total

	return total, nil
}

// applied returns the schemas that this one applies to the same value.
func (w *schemaWalk) applied(path string) ([]string, error) {
	found, err := w.at(path)
	if err != nil {
		return nil, err
	}

	schema, ok := found.(map[string]any)
	if !ok { // true or false
		return nil, nil
	}

	if _, dynamic := schema["$dynamicRef"].(string); dynamic {
		return nil, errors.New("$dynamicRef is not supported")
	}

	var next []string

	if reference, ok := schema["$ref"].(string); ok {
		target, err := pointerOf(reference)
		if err != nil {
			return nil, err
		}

		next = append(next, target)
	}

	for _, key := range []string{"not", "if", "then", "else"} {
		if _, ok := schema[key].(map[string]any); ok {
			next = append(next, path+"/"+key)
		}
	}

	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		items, _ := schema[key].([]any)
		for i := range items {
			next = append(next, path+"/"+key+"/"+strconv.Itoa(i))
		}
	}

	for _, key := range []string{"dependentSchemas", "dependencies"} {
		items, _ := schema[key].(map[string]any)
		for name := range items {
			next = append(next, path+"/"+key+"/"+escapePointer(name))
		}
	}

	return next, nil
}

// at returns what a JSON pointer points to.
func (w *schemaWalk) at(path string) (any, error) {
	current := w.document

	if path == "" {
		return current, nil
	}

	for part := range strings.SplitSeq(path[1:], "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)

		switch value := current.(type) {
		case map[string]any:
			item, ok := value[part]
			if !ok {
				return nil, fmt.Errorf("the reference #%s leads nowhere", path)
			}

			current = item
		case []any:
			index, err := strconv.Atoi(part)
			if err != nil || index < 0 || index >= len(value) {
				return nil, fmt.Errorf("the reference #%s leads nowhere", path)
			}

			current = value[index]
		default:
			return nil, fmt.Errorf("the reference #%s leads nowhere", path)
		}
	}

	return current, nil
}

// pointerOf returns the JSON pointer in a reference.
func pointerOf(reference string) (string, error) {
	fragment, local := strings.CutPrefix(reference, "#")

	pointer, err := url.PathUnescape(fragment)
	if !local || err != nil || pointer != "" && pointer[0] != '/' {
		return "", fmt.Errorf("the reference %.256q is not supported; want a place in the schema itself, such as #/$defs/name",
			reference)
	}

	return pointer, nil
}

func escapePointer(part string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(part)
}
