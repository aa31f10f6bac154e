package gateway

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/serinhq/serin/internal/fault"
)

// checkQuery refuses parameters that the route does not have, come twice, or are not what they should be.
func (r *route) checkQuery(values url.Values) error {
	var violations []fault.Violation

	given := map[protoreflect.FieldDescriptor]bool{}

	for _, name := range slices.Sorted(maps.Keys(values)) {
		field, known := r.query[name]

		var problem string

		switch {
		case !known:
			problem = "unknown parameter; " + r.queryNames()
		case given[field] || len(values[name]) > 1:
			problem = "given more than once"
		default:
			problem = parameterProblem(field, values.Get(name))
			given[field] = true
		}

		if problem != "" {
			violations = append(violations, fault.Violation{Field: name, Message: problem})
		}
	}

	if len(violations) > 0 {
		return fault.Invalid(violations...)
	}

	return nil
}

func (r *route) queryNames() string {
	var names []string

	for name, field := range r.query {
		if name == field.JSONName() {
			names = append(names, name)
		}
	}

	if len(names) == 0 {
		return "this route takes none in its address"
	}

	slices.Sort(names)

	return "allowed are " + strings.Join(names, ", ")
}

func parameterProblem(field protoreflect.FieldDescriptor, value string) string {
	var bits int

	switch field.Kind() { //nolint:exhaustive // what other kinds may be is not checked here
	case protoreflect.Int32Kind:
		bits = 32
	case protoreflect.Int64Kind:
		bits = 64
	default:
		return ""
	}

	if _, err := strconv.ParseInt(value, 10, bits); err != nil {
		return fmt.Sprintf("%q is not a whole number of %d bits", value, bits)
	}

	return ""
}
