package agentspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

var objectType = reflect.TypeFor[Object]()

// Object is a JSON object that is defined elsewhere, such as by Kubernetes: it is kept as it was written, in canonical
// form.
//
// +kubebuilder:validation:Type=object
// +kubebuilder:pruning:PreserveUnknownFields
type Object json.RawMessage

// MarshalJSON writes the object.
func (o Object) MarshalJSON() ([]byte, error) {
	if len(o) == 0 {
		return []byte("null"), nil
	}

	return o, nil
}

// UnmarshalJSON keeps an object; null is none.
func (o *Object) UnmarshalJSON(data []byte) error {
	branch, err := parseObject(data)
	if err != nil {
		return err
	}

	*o = newObject(branch)

	return nil
}

// newObject writes a tree down; an empty one is none.
func newObject(branch map[string]any) Object {
	if len(branch) == 0 {
		return nil
	}

	out := &bytes.Buffer{}
	canonical(out, branch)

	return out.Bytes()
}

// tree reads what newObject wrote.
func (o Object) tree() map[string]any {
	branch, err := parseObject(o)
	must(err)

	return branch
}

// parseObject reads a JSON object and keeps its numbers as they are.
func parseObject(data []byte) (map[string]any, error) {
	var branch map[string]any

	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()

	if err := decoder.Decode(&branch); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return nil, fmt.Errorf("want an object, not %s", wrong.Value)
		}

		return nil, fmt.Errorf("not an object: %w", err)
	}

	return branch, nil
}
