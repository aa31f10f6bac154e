package objects

import (
	"fmt"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// checker walks JSON along the description of a message, and notes what does not fit it.
type checker struct {
	// unknown are the fields that the description does not have.
	unknown []string
	invalid field.ErrorList
}

// message returns the value without nulls and without what is unknown.
func (c *checker) message(value any, md protoreflect.MessageDescriptor, path *field.Path) any {
	if scalar, known := wellKnown(md); known {
		if scalar != nil {
			return c.scalar(value, scalar, path)
		}

		return value
	}

	given, ok := value.(map[string]any)
	if !ok {
		return c.mistyped(value, "an object", path)
	}

	return c.fields(given, md, path)
}

// fields checks the fields of an object.
func (c *checker) fields(given map[string]any, md protoreflect.MessageDescriptor, path *field.Path) map[string]any {
	kept := make(map[string]any, len(given))
	chosen := map[protoreflect.Name]string{}

	for name, value := range given {
		fd := md.Fields().ByJSONName(name)

		switch {
		case fd == nil:
			c.unknown = append(c.unknown, path.Child(name).String())
		case value != nil:
			c.choose(chosen, fd, path)

			kept[name] = c.field(value, fd, path.Child(name))
		}
	}

	return kept
}

// choose notes that a field is set, and refuses two of which only one may be.
func (c *checker) choose(chosen map[protoreflect.Name]string, fd protoreflect.FieldDescriptor, path *field.Path) {
	oneof := fd.ContainingOneof()
	if oneof == nil || oneof.IsSynthetic() {
		return
	}

	if other, taken := chosen[oneof.Name()]; taken {
		c.invalid = append(c.invalid, field.Invalid(path, field.OmitValueType{},
			fmt.Sprintf("only one of %s and %s can be set", min(other, fd.JSONName()), max(other, fd.JSONName()))))
	}

	chosen[oneof.Name()] = fd.JSONName()
}

// field checks a field's value.
func (c *checker) field(value any, fd protoreflect.FieldDescriptor, path *field.Path) any {
	switch {
	case fd.IsMap():
		given, ok := value.(map[string]any)
		if !ok {
			return c.mistyped(value, "an object", path)
		}

		for name, entry := range given {
			given[name] = c.single(entry, fd.MapValue(), path.Key(name))
		}

		return given
	case fd.IsList():
		given, ok := value.([]any)
		if !ok {
			return c.mistyped(value, "a list", path)
		}

		for i, entry := range given {
			given[i] = c.single(entry, fd, path.Index(i))
		}

		return given
	default:
		return c.single(value, fd, path)
	}
}

// single checks a value that is neither list nor map.
func (c *checker) single(value any, fd protoreflect.FieldDescriptor, path *field.Path) any {
	if fd.Message() != nil {
		return c.message(value, fd.Message(), path)
	}

	return c.scalar(value, fd, path)
}

// scalar checks text, numbers and the like. Ranges and the inner form of text are left to the types' own reader.
func (c *checker) scalar(value any, fd protoreflect.FieldDescriptor, path *field.Path) any {
	switch fd.Kind() { //nolint:exhaustive // the rest are numbers
	case protoreflect.StringKind, protoreflect.BytesKind:
		if _, ok := value.(string); !ok {
			return c.mistyped(value, "a string", path)
		}
	case protoreflect.BoolKind:
		if _, ok := value.(bool); !ok {
			return c.mistyped(value, "true or false", path)
		}
	case protoreflect.EnumKind:
		return c.enum(value, fd, path)
	default:
		if !numeric(value) {
			return c.mistyped(value, "a number", path)
		}
	}

	return value
}

func (c *checker) enum(value any, fd protoreflect.FieldDescriptor, path *field.Path) any {
	name, ok := value.(string)
	if !ok {
		return c.mistyped(value, "one of the names of "+string(fd.Enum().Name()), path)
	}

	values := fd.Enum().Values()
	if values.ByName(protoreflect.Name(name)) != nil {
		return value
	}

	names := make([]string, values.Len())
	for i := range names {
		names[i] = string(values.Get(i).Name())
	}

	c.invalid = append(c.invalid, field.NotSupported(path, name, names))

	return value
}

func (c *checker) mistyped(value any, want string, path *field.Path) any {
	c.invalid = append(c.invalid, field.TypeInvalid(path, value, "must be "+want))

	return value
}

// numeric reports whether a value is a number; Istio's types write those of 64 bits as strings.
func numeric(value any) bool {
	switch value := value.(type) {
	case int64, float64:
		return true
	case string:
		_, err := strconv.ParseFloat(value, 64)

		return err == nil
	default:
		return false
	}
}

// wellKnown reports whether JSON writes a message otherwise than as an object of its fields. The field is the one to
// check the value by; nil if the types' own reader knows better.
func wellKnown(md protoreflect.MessageDescriptor) (protoreflect.FieldDescriptor, bool) {
	if md.ParentFile().Package() != "google.protobuf" {
		return nil, false
	}

	if md.ParentFile().Path() == "google/protobuf/wrappers.proto" {
		return md.Fields().ByName("value"), true
	}

	return nil, true
}
