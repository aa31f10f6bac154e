package v1alpha1

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// crd is a kind as an API server sees it that has the files of deploy/crds.
type crd struct {
	definition *apiextensionsv1.CustomResourceDefinition
	structural *schema.Structural
	validator  validation.SchemaValidator
	cel        *cel.Validator
}

func loadCRD(t testing.TB, plural string) *crd {
	t.Helper()

	data, err := os.ReadFile(filepath.Join("../../../deploy/crds", "serin.dev_"+plural+".yaml"))
	if err != nil {
		t.Fatal(err)
	}

	loaded := &crd{definition: &apiextensionsv1.CustomResourceDefinition{}}
	if err := yaml.UnmarshalStrict(data, loaded.definition); err != nil {
		t.Fatal(err)
	}

	internal := &apiextensions.JSONSchemaProps{}

	err = apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(loaded.root(), internal, nil)
	if err != nil {
		t.Fatal(err)
	}

	if loaded.structural, err = schema.NewStructural(internal); err != nil {
		t.Fatal(err)
	}

	if problems := schema.ValidateStructural(nil, loaded.structural); len(problems) > 0 {
		t.Fatal(problems.ToAggregate())
	}

	if loaded.validator, _, err = validation.NewSchemaValidator(internal); err != nil {
		t.Fatal(err)
	}

	loaded.cel = cel.NewValidator(loaded.structural, true, celconfig.PerCallLimit)

	return loaded
}

func (c *crd) root() *apiextensionsv1.JSONSchemaProps {
	return c.definition.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// create does with an object what an API server does when kubectl creates it: it refuses unknown fields, fills in
// defaults, and validates, first by the schema and then, unless something basic is wrong, by the rules.
func (c *crd) create(ctx context.Context, object map[string]any) field.ErrorList {
	problems := field.ErrorList{}
	unknown := pruning.PruneWithOptions(object, c.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})

	for _, path := range unknown {
		problems = append(problems, field.Forbidden(field.NewPath(path), "unknown field"))
	}

	defaulting.Default(object, c.structural)

	problems = append(problems, validation.ValidateCustomResource(nil, object, c.validator)...)
	if keepsRulesOut(problems) {
		return problems
	}

	byRules, _ := c.cel.Validate(ctx, nil, c.structural, object, nil, celconfig.RuntimeCELCostBudget)

	return append(problems, byRules...)
}

// object reads YAML or JSON as an API server does: whole numbers stay whole.
func object(t testing.TB, data []byte) map[string]any {
	t.Helper()

	data, err := yaml.YAMLToJSON(data)
	if err != nil {
		t.Fatal(err)
	}

	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()

	var found map[string]any
	if err := decoder.Decode(&found); err != nil {
		t.Fatal(err)
	}

	return whole(found).(map[string]any)
}

func whole(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			value[name] = whole(inner)
		}
	case []any:
		for i, inner := range value {
			value[i] = whole(inner)
		}
	case json.Number:
		if n, err := value.Int64(); err == nil {
			return n
		}

		f, _ := value.Float64()

		return f
	}

	return value
}

var separator = regexp.MustCompile(`(?m)^---$`)

// documents are the objects of a YAML file by their order.
func documents(t testing.TB, path string) []map[string]any {
	t.Helper()

	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	found := []map[string]any{}

	for _, part := range separator.Split(string(data), -1) {
		if strings.TrimSpace(part) != "" {
			found = append(found, object(t, []byte(part)))
		}
	}

	return found
}
