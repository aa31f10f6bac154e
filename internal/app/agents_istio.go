package app

import (
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	istioscheme "istio.io/client-go/pkg/clientset/versioned/scheme"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
	kyaml "sigs.k8s.io/yaml"

	"github.com/serinhq/serin/internal/agentspec"
)

// istioDocument is one of Istio's objects, or a Service, as a file has it.
type istioDocument struct {
	file string
	text []byte
	root *yaml.Node
	kind schema.GroupVersionKind

	// places are the fields' keys and the lists' elements, by the paths that the lint knows.
	places map[string]*yaml.Node
}

// newIstioDocument returns nil for what is none.
func newIstioDocument(file string, text []byte) *istioDocument {
	node := &yaml.Node{}

	if err := yaml.Unmarshal(text, node); err != nil || len(node.Content) == 0 || node.Content[0].Kind != yaml.MappingNode {
		return nil
	}

	document := &istioDocument{file: file, text: text, root: node.Content[0], places: map[string]*yaml.Node{}}
	document.kind = schema.FromAPIVersionAndKind(document.word("apiVersion"), document.word("kind"))

	if !strings.HasSuffix(document.kind.Group, ".istio.io") && document.kind != corev1.SchemeGroupVersion.WithKind("Service") {
		return nil
	}

	return document
}

// word is the text of a field of the object itself.
func (d *istioDocument) word(name string) string {
	for key, value := range pairs(d.root) {
		if key.Value == name {
			return value.Value
		}
	}

	return ""
}

// decode reads the object strictly. It is nil if it can't be read at all.
func (d *istioDocument) decode() (runtime.Object, agentspec.Problems) {
	d.locate()

	object, err := d.empty()
	if err != nil {
		return nil, agentspec.Problems{d.problem("kind", "%s of %s is not one of Istio's kinds", d.kind.Kind, d.kind.GroupVersion())}
	}

	reader := &istioReader{document: d}
	if spec := specOf(object); spec != nil {
		reader.message(d.child("spec"), spec.ProtoReflect().Descriptor(), "spec")
	}

	data, err := kyaml.YAMLToJSON(d.text)
	if err != nil {
		return nil, append(reader.problems, d.problem("", "can't be read: %v", err))
	}

	flaws, err := kjson.UnmarshalStrict(data, object)
	for _, flaw := range flaws {
		reader.problems = append(reader.problems, d.problem("", "%v", flaw))
	}

	switch {
	case err == nil:
		return object, reader.problems
	case len(reader.problems) > 0: // one of them is why
		return nil, reader.problems
	default:
		return nil, agentspec.Problems{d.problem("spec", "can't be read as a %s: %s", d.kind.Kind, reasonOf(err))}
	}
}

func (d *istioDocument) empty() (runtime.Object, error) {
	if d.kind.Group == "" {
		return &corev1.Service{}, nil
	}

	return istioscheme.Scheme.New(d.kind) //nolint:wrapcheck // the caller says it in its own words
}

// reasonOf leaves out who says it.
func reasonOf(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ") // protobuf puts such spaces in by chance
	text = strings.TrimPrefix(text, "proto: ")

	return strings.TrimPrefix(strings.TrimPrefix(text, "json: "), "unmarshal: ")
}

// specOf returns the spec of one of Istio's objects.
func specOf(object runtime.Object) proto.Message {
	field := reflect.ValueOf(object).Elem().FieldByName("Spec")
	if !field.IsValid() || !field.CanAddr() {
		return nil
	}

	spec, _ := reflect.TypeAssert[proto.Message](field.Addr())

	return spec
}

// locate notes where the fields of the object itself and of its metadata are.
func (d *istioDocument) locate() {
	for key := range pairs(d.root) {
		d.places[key.Value] = key
	}

	for key, value := range pairs(d.child("metadata")) {
		d.places["metadata."+key.Value] = key

		for name := range pairs(value) {
			d.places["metadata."+key.Value+"["+name.Value+"]"] = name
		}
	}
}

func (d *istioDocument) child(name string) *yaml.Node {
	for key, value := range pairs(d.root) {
		if key.Value == name {
			return value
		}
	}

	return nil
}

// place is where a field is, or the nearest one around it.
func (d *istioDocument) place(path string) *yaml.Node {
	for ; path != ""; path = path[:max(strings.LastIndexAny(path, ".["), 0)] {
		if found := d.places[path]; found != nil {
			return found
		}
	}

	return d.root
}
