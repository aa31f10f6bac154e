package webapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// maxDescription is how many bytes of a document's words about an operation models are told.
const maxDescription = 4096

// Document is an OpenAPI document, 3.0 or 3.1.
type Document struct {
	parsed *openapi3.T
	// schemas makes JSON Schemas of the document's.
	schemas schemas
	found   map[string][]place
}

// place is where a document has an operation.
type place struct {
	method, path string
	item         *openapi3.PathItem
	operation    *openapi3.Operation
}

var version3 = regexp.MustCompile(`^3\.[01]\.`)

// ParseOpenAPI reads a document in JSON or YAML. It reads no other, and refuses references to such.
func ParseOpenAPI(data []byte) (document *Document, err error) {
	defer func() { // the libraries below panic on some broken inputs; to a user those are not readable
		if value := recover(); value != nil {
			document, err = nil, fmt.Errorf("not readable as OpenAPI: %v", value)
		}
	}()

	parsed, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		return nil, fmt.Errorf("not readable as OpenAPI: %w", err)
	}

	if !version3.MatchString(parsed.OpenAPI) {
		return nil, fmt.Errorf("openapi: %q: want a document of OpenAPI 3.0 or 3.1", parsed.OpenAPI)
	}

	read := &Document{
		parsed: parsed, schemas: schemas{components: map[string]any{}, old: strings.HasPrefix(parsed.OpenAPI, "3.0.")},
		found: map[string][]place{},
	}

	return read, read.index()
}

// index finds the operations by their ids.
func (d *Document) index() error {
	if d.parsed.Components != nil {
		for name, schema := range d.parsed.Components.Schemas {
			tree, err := treeOf(schema)
			if err != nil {
				return fmt.Errorf("components.schemas.%s: %w", name, err)
			}

			d.schemas.components[name] = tree
		}
	}

	if d.parsed.Paths == nil {
		return nil
	}

	for path, item := range d.parsed.Paths.Map() {
		if item == nil {
			continue
		}

		for method, operation := range item.Operations() {
			d.found[operation.OperationID] = append(d.found[operation.OperationID], place{method, path, item, operation})
		}
	}

	return nil
}

// Operation makes an operation of the one with an id. The error says what of it can't be asked for.
func (d *Document) Operation(id string) (made *Operation, err error) {
	defer func() {
		if value := recover(); value != nil {
			made, err = nil, fmt.Errorf("not readable: %v", value)
		}
	}()

	found := d.found[id]

	switch {
	case id == "" || len(found) == 0:
		return nil, fmt.Errorf("the document has no operation %q; it has %s", id, d.ids())
	case len(found) > 1:
		return nil, fmt.Errorf("the document has more than one operation %q", id)
	}

	return d.operation(id, found[0])
}

// IDs are the ids of all operations that have one, sorted.
func (d *Document) IDs() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(d.found)), func(id string) bool { return id == "" })
}

// ids are the operations that there are, for people.
func (d *Document) ids() string {
	switch all := d.IDs(); {
	case len(all) == 0:
		return "none with an operationId"
	case len(all) > 30: //nolint:mnd // more would be no help
		return strings.Join(all[:30], ", ") + " and others"
	default:
		return strings.Join(all, ", ")
	}
}

func (d *Document) operation(id string, at place) (*Operation, error) {
	if !slices.Contains([]string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	}, at.method) {
		return nil, fmt.Errorf("a %s is no tool", at.method)
	}

	if !strings.HasPrefix(at.path, "/") || strings.ContainsAny(at.path, "?# ") {
		return nil, fmt.Errorf("its path %q can't be asked for", at.path)
	}

	path, err := parseTemplate(at.path)
	if err != nil {
		return nil, err
	}

	// Documents promise more of answers than their servers keep: a good answer must not be refused for that, so that the
	// operation has no output schema.
	made := &Operation{Name: id, Description: describe(id, at), Method: at.method, path: path}
	input := &object{properties: map[string]any{}}

	if err := d.parameters(made, at, input); err != nil {
		return nil, err
	}

	if err := d.body(made, at.operation, input); err != nil {
		return nil, err
	}

	for _, name := range path.names {
		if to, ok := made.parameterOf(name); !ok || to.in != inPath {
			return nil, fmt.Errorf("its path has {%s}, of which no parameter speaks", name)
		}
	}

	made.Input, err = d.schemas.finish(input)

	return made, err
}

func describe(id string, at place) string {
	texts := []string{}

	for _, text := range []string{at.operation.Summary, at.operation.Description} {
		if text = strings.TrimSpace(text); text != "" && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}

	if len(texts) == 0 {
		texts = []string{fmt.Sprintf("%s: %s %s", id, at.method, at.path)}
	}

	text := strings.Join(texts, "\n\n")
	if len(text) > maxDescription {
		text = strings.ToValidUTF8(text[:maxDescription], "") + "…"
	}

	return text
}

// treeOf is a part of a document as plain JSON.
func treeOf(part any) (any, error) {
	data, err := json.Marshal(part)
	if err != nil {
		return nil, fmt.Errorf("not readable: %w", err)
	}

	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return nil, fmt.Errorf("not readable: %w", err)
	}

	return tree, nil
}

var errNoSchema = errors.New("it has no schema")
