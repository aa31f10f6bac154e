package objects

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
)

// strictness is what becomes of fields that are not known: refused by default, because what is written here would
// otherwise be ignored by a whole mesh.
type strictness string

const (
	strict strictness = metav1.FieldValidationStrict
	warn   strictness = metav1.FieldValidationWarn
	ignore strictness = metav1.FieldValidationIgnore
)

// decoder reads the objects of one kind and version.
type decoder struct {
	kind    *kind
	version string
	mode    strictness
}

// decode reads an object as a client wrote it. Warnings are for the client.
func (d decoder) decode(body []byte) (draft, []string, error) {
	root := map[string]any{}

	flaws, err := kjson.UnmarshalStrict(body, &root)
	if err != nil {
		return draft{}, nil, apierrors.NewBadRequest("the body is not a JSON object: " + err.Error())
	}

	if err := d.address(root); err != nil {
		return draft{}, nil, err
	}

	metadata, more, err := decodeMetadata(root["metadata"])
	if err != nil {
		return draft{}, nil, err
	}

	result := draft{Meta: metadata}
	check := &checker{}
	result.Spec = check.part(root, "spec", d.kind)
	result.Status = check.part(root, "status", d.kind)

	if len(check.invalid) > 0 {
		return draft{}, nil, apierrors.NewInvalid(d.kind.groupKind(), metadata.Name, check.invalid)
	}

	warnings, err := d.judge(append(texts(append(flaws, more...)), unknown(root, check)...))

	return result, warnings, err
}

// address checks that the object is one of those that the request is about.
func (d decoder) address(root map[string]any) error {
	want := d.kind.gvk(d.version)

	if got := root["kind"]; got != want.Kind {
		return apierrors.NewBadRequest(fmt.Sprintf("kind is %v; at this address it has to be %q", got, want.Kind))
	}

	if got := root["apiVersion"]; got != want.GroupVersion().String() {
		return apierrors.NewBadRequest(fmt.Sprintf("the API version in the data (%v) does not match the expected API version (%s)",
			got, want.GroupVersion()))
	}

	return nil
}

// part reads spec or status.
func (c *checker) part(root map[string]any, name string, k *kind) map[string]any {
	if root[name] == nil {
		return nil
	}

	description := k.spec
	if name == "status" {
		description = k.status
	}

	part, _ := c.message(root[name], description, field.NewPath(name)).(map[string]any)

	return part
}

// judge says what becomes of flaws.
func (d decoder) judge(flaws []string) ([]string, error) {
	slices.Sort(flaws)

	switch {
	case len(flaws) == 0 || d.mode == ignore:
		return nil, nil
	case d.mode == warn:
		return flaws, nil
	default:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: strict decoding error: %s",
			d.kind.name, d.version, d.kind.name, strings.Join(flaws, ", ")))
	}
}

// decodeMetadata reads metadata; flaws are fields that do not exist.
func decodeMetadata(value any) (metav1.ObjectMeta, []error, error) {
	var into struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
	}

	text, err := json.Marshal(map[string]any{"metadata": value})
	if err != nil {
		return into.Metadata, nil, apierrors.NewBadRequest("metadata: " + err.Error())
	}

	flaws, err := kjson.UnmarshalStrict(text, &into)
	if err != nil {
		return into.Metadata, nil, apierrors.NewBadRequest("metadata cannot be read: " + err.Error())
	}

	return into.Metadata, flaws, nil
}

// unknown names the fields that the kind does not have.
func unknown(root map[string]any, check *checker) []string {
	names := slices.Clone(check.unknown)

	for name := range root {
		if !slices.Contains([]string{"apiVersion", "kind", "metadata", "spec", "status"}, name) {
			names = append(names, name)
		}
	}

	for i, name := range names {
		names[i] = fmt.Sprintf("unknown field %q", name)
	}

	return names
}

func texts(flaws []error) []string {
	all := make([]string, len(flaws))
	for i, flaw := range flaws {
		all[i] = flaw.Error()
	}

	return all
}

// unmarshal reads JSON as kube-apiserver does: names are case-sensitive, integers stay integers.
func unmarshal(data []byte, into any) error {
	return kjson.UnmarshalCaseSensitivePreserveInts(data, into) //nolint:wrapcheck // the caller knows what was read
}

// number is a whole number of JSON, which Istio's types may write as a string; 0 if it is none.
func number(value any) int64 {
	switch value := value.(type) {
	case int64:
		return value
	case string:
		n, _ := strconv.ParseInt(value, 10, 64)

		return n
	default:
		return 0
	}
}

// isObject reports whether a text is meant to be a JSON object.
func isObject(text []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) }
