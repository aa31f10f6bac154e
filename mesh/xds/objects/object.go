package objects

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// key names an object among those of its kind.
type key struct{ namespace, name string }

func compare[T cmp.Ordered](a, b T) int { return cmp.Compare(a, b) }

func (k key) compare(other key) int {
	return cmp.Or(cmp.Compare(k.namespace, other.namespace), cmp.Compare(k.name, other.name))
}

// draft is an object on its way to be written. Its maps are shared with nobody once it is decoded, and are not changed
// in place.
type draft struct {
	Meta   metav1.ObjectMeta `json:"metadata"`
	Spec   map[string]any    `json:"spec,omitempty"`
	Status map[string]any    `json:"status,omitempty"`
}

// object is one version of an object. It is never changed.
type object struct {
	kind    *kind
	key     key
	version uint64
	// typed is what the object says, in client-go's types.
	typed typed
	// body is the object as JSON without kind and apiVersion, which depend on who asks.
	body []byte
}

// seal makes a draft the object's version.
func seal(k *kind, d draft, version uint64) (*object, error) {
	d.Meta.ResourceVersion = strconv.FormatUint(version, 10)

	body, err := json.Marshal(d)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}

	object, err := load(k, body, version)
	if err != nil {
		return nil, apierrors.NewInvalid(k.groupKind(), d.Meta.Name,
			field.ErrorList{field.Invalid(field.NewPath("spec"), field.OmitValueType{}, err.Error())})
	}

	return object, nil
}

// load makes an object of its body.
func load(k *kind, body []byte, version uint64) (*object, error) {
	typed := k.blank()
	if err := json.Unmarshal(encode(k, k.versions[0], body), typed); err != nil {
		return nil, fmt.Errorf("a %s cannot be read: %w", k.name, err)
	}

	return &object{
		kind: k, key: key{typed.GetNamespace(), typed.GetName()},
		version: version, typed: typed, body: body,
	}, nil
}

// draft is the object as it may be changed.
func (o *object) draft() (draft, error) {
	var d draft
	if err := unmarshal(o.body, &d); err != nil {
		return draft{}, apierrors.NewInternalError(err)
	}

	return d, nil
}

// encode is a body as JSON of a version of the API.
func encode(k *kind, version string, body []byte) []byte {
	encoded := make([]byte, 0, len(body)+96)
	encoded = append(encoded, `{"kind":"`+k.name+`","apiVersion":"`+k.group+`/`+version+`",`...)

	return append(encoded, body[1:]...)
}
