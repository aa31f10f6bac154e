package objects

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
)

// column is one that kubectl prints: its name, and where in an object it is found.
type column struct{ name, path string }

// tabulate makes the table that kubectl prints, with the columns of Istio's own definitions.
func (r *request) tabulate(version string, bodies [][]byte) (*metav1.Table, error) {
	table := &metav1.Table{
		TypeMeta:          metav1.TypeMeta{Kind: "Table", APIVersion: metav1.SchemeGroupVersion.String()},
		ListMeta:          metav1.ListMeta{ResourceVersion: version},
		ColumnDefinitions: r.kind.definitions(),
		Rows:              []metav1.TableRow{},
	}

	for _, body := range bodies {
		row, err := r.row(body)
		if err != nil {
			return nil, err
		}

		table.Rows = append(table.Rows, row)
	}

	return table, nil
}

func (k *kind) definitions() []metav1.TableColumnDefinition {
	definitions := []metav1.TableColumnDefinition{{Name: "Name", Type: "string", Format: "name"}}
	for _, column := range k.columns {
		definitions = append(definitions, metav1.TableColumnDefinition{Name: column.name, Type: "string"})
	}

	return append(definitions, metav1.TableColumnDefinition{Name: "Age", Type: "date"})
}

// row makes an object's row.
func (r *request) row(body []byte) (metav1.TableRow, error) {
	var object struct {
		metav1.PartialObjectMetadata

		Spec map[string]any `json:"spec"`
	}

	if err := unmarshal(body, &object); err != nil {
		return metav1.TableRow{}, fmt.Errorf("making a row: %w", err)
	}

	cells := []any{object.Name}
	for _, column := range r.kind.columns {
		cells = append(cells, cell(object.Spec, column))
	}

	cells = append(cells, duration.HumanDuration(time.Since(object.CreationTimestamp.Time)))
	object.TypeMeta = metav1.TypeMeta{Kind: "PartialObjectMetadata", APIVersion: metav1.SchemeGroupVersion.String()}

	shown, err := r.shown(object.PartialObjectMetadata, body)

	return metav1.TableRow{Cells: cells, Object: runtime.RawExtension{Raw: shown}}, err
}

// shown is what a row carries of its object.
func (r *request) shown(metadata metav1.PartialObjectMetadata, body []byte) ([]byte, error) {
	switch r.query.Get("includeObject") {
	case string(metav1.IncludeNone):
		return nil, nil
	case string(metav1.IncludeObject):
		return encode(r.kind, r.version, body), nil
	default:
		text, err := json.Marshal(metadata)
		if err != nil {
			return nil, fmt.Errorf("making a row: %w", err)
		}

		return text, nil
	}
}

// cell is the text of a column; nil if the object has nothing there.
func cell(spec map[string]any, column column) any {
	path := strings.Split(strings.TrimPrefix(column.path, "spec."), ".")

	value, found, err := unstructured.NestedFieldNoCopy(spec, path...)
	if err != nil || !found {
		return nil
	}

	if text, ok := value.(string); ok {
		return text
	}

	text, _ := json.Marshal(value)

	return string(text)
}
