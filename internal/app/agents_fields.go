package app

import (
	"fmt"
	"iter"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/serinhq/serin/internal/agentspec"
)

// istioReader goes through a spec as it is written: it notes where everything is, and what the kind does not have. Istio's
// own decoders pass over such fields.
type istioReader struct {
	document *istioDocument
	problems agentspec.Problems
}

func (r *istioReader) message(node *yaml.Node, message protoreflect.MessageDescriptor, path string) {
	if strings.HasPrefix(string(message.FullName()), "google.protobuf.") {
		return
	}

	if !isKind(node, yaml.MappingNode) {
		r.problems = append(r.problems, r.document.problem(path, "want fields, not %q", resolved(node).Value))
	}

	seen := map[string]bool{}

	for key, value := range pairs(node) {
		field := message.Fields().ByJSONName(key.Value)
		if field == nil {
			field = message.Fields().ByTextName(key.Value)
		}

		name := key.Value
		if field != nil {
			name = field.JSONName()
		}

		at := path + "." + name
		r.document.places[at] = key

		switch {
		case field == nil:
			r.problems = append(r.problems, r.document.problem(at, "unknown field of a %s", r.document.kind.Kind))
		case seen[name]:
			r.problems = append(r.problems, r.document.problem(at, "duplicate key"))
		default:
			r.value(value, field, at)
		}

		seen[name] = true
	}
}

func (r *istioReader) value(node *yaml.Node, field protoreflect.FieldDescriptor, path string) {
	switch {
	case field.IsMap():
		for key, value := range pairs(node) {
			at := path + "[" + key.Value + "]"
			r.document.places[at] = key
			r.inside(value, field.MapValue(), at)
		}
	case field.IsList() && !isKind(node, yaml.SequenceNode):
		r.problems = append(r.problems, r.document.problem(path, "want a list"))
	case field.IsList():
		for i, element := range resolved(node).Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			r.document.places[at] = element
			r.inside(element, field, at)
		}
	default:
		r.inside(node, field, path)
	}
}

func (r *istioReader) inside(node *yaml.Node, field protoreflect.FieldDescriptor, path string) {
	if field.Message() != nil {
		r.message(node, field.Message(), path)
	}
}

// problem is one of a field, at its place.
func (d *istioDocument) problem(field, format string, args ...any) agentspec.Problem {
	where := d.place(field)

	return agentspec.Problem{
		File: d.file, Line: where.Line, Column: where.Column, Field: field, Message: fmt.Sprintf(format, args...),
	}
}

// pairs are the keys and values of a mapping; none if it is something else, or nil.
func pairs(node *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(*yaml.Node, *yaml.Node) bool) {
		node := resolved(node)
		if node == nil || node.Kind != yaml.MappingNode {
			return
		}

		for i := 0; i+1 < len(node.Content); i += 2 {
			if !yield(node.Content[i], node.Content[i+1]) {
				return
			}
		}
	}
}

// isKind reports whether a node is of a kind, or says nothing.
func isKind(node *yaml.Node, kind yaml.Kind) bool {
	node = resolved(node)

	return node == nil || node.Kind == kind || node.Tag == "!!null"
}

// resolved is what an alias stands for.
func resolved(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.AliasNode {
		return node.Alias
	}

	return node
}
