package istio

import (
	"encoding/json"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// patch is a JSON Patch (RFC 6902). Its tests for nothing have the value null, which RFC 6902 does not speak of: evanphx's
// json-patch, which the API server (v4) and the embedded control plane (v5) use, passes them when an object lacks the key.
// It fails them when a list lacks the index.
type patch struct{ operations []operation }

type operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

// at makes a path of keys and indexes.
func at(parts ...any) string {
	var path strings.Builder

	for _, part := range parts {
		path.WriteByte('/')

		switch part := part.(type) {
		case int:
			path.WriteString(strconv.Itoa(part))
		case string:
			path.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
		}
	}

	return path.String()
}

func (p *patch) do(op, path string, value any) {
	raw, _ := json.Marshal(value) // all values are strings, numbers and Istio's own types
	p.operations = append(p.operations, operation{op, path, raw})
}

func (p *patch) test(path string, value any) { p.do("test", path, value) }
func (p *patch) add(path string, value any)  { p.do("add", path, value) }

func (p *patch) remove(path string) {
	p.operations = append(p.operations, operation{Op: "remove", Path: path})
}

// nothing tests that there is nothing at a path.
func (p *patch) nothing(path string) { p.test(path, nil) }

// start makes an empty list where there is none or an empty one, which look the same when read: no test tells them apart,
// so the object must not have changed at all.
func (p *patch) start(object metav1.Object, path string) {
	if object != nil {
		p.test(at("metadata", "resourceVersion"), object.GetResourceVersion())
	}

	p.add(path, []string{})
}

func (p *patch) empty() bool { return len(p.operations) == 0 }

func (p *patch) json() []byte {
	text, _ := json.Marshal(p.operations)

	return text
}

// mark moves the object's mark from old to next, if it is still old.
func (p *patch) mark(object metav1.Object, old, next mark) {
	p.annotations(object)
	p.expect(old)
	p.add(at("metadata", "annotations", IntentAnnotation), next.String())
}

// unmark takes the object's mark away, if it is still old.
func (p *patch) unmark(old mark) {
	if old.raw != nil {
		p.expect(old)
		p.remove(at("metadata", "annotations", IntentAnnotation))
	}
}

func (p *patch) annotations(object metav1.Object) {
	if object.GetAnnotations() == nil {
		p.nothing(at("metadata", "annotations"))
		p.add(at("metadata", "annotations"), struct{}{})
	}
}

func (p *patch) expect(old mark) {
	path := at("metadata", "annotations", IntentAnnotation)
	if old.raw == nil {
		p.nothing(path)
	} else {
		p.test(path, *old.raw)
	}
}
