package v1alpha1

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/serinhq/serin/internal/agentspec"
)

// TestSchemasHaveWhatTheTagsHave walks the schemas beside the types: the same fields, and for each the same limits,
// default, allowed values and patterns, none more and none less.
func TestSchemasHaveWhatTheTagsHave(t *testing.T) {
	for plural, spec := range map[string]reflect.Type{
		"agents": reflect.TypeFor[agentspec.AgentSpec](), "mcpservers": reflect.TypeFor[agentspec.MCPServerSpec](),
	} {
		root := loadCRD(t, plural).root().Properties["spec"]
		sameFields(t, "spec", &root, spec)
	}
}

type jsonSchema = apiextensionsv1.JSONSchemaProps

func sameFields(t *testing.T, path string, s *jsonSchema, of reflect.Type) {
	t.Helper()

	names, required := []string{}, []string(nil)

	for f := range of.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)

		if f.Tag.Get("required") == "true" {
			required = append(required, name)
		}

		property := s.Properties[name]
		sameLimits(t, path+"."+name, &property, f)
		sameInside(t, path+"."+name, &property, f.Type)
	}

	slices.Sort(names)
	slices.Sort(required)

	if diff := cmp.Diff(names, slices.Sorted(maps.Keys(s.Properties))); diff != "" {
		t.Errorf("%s: fields (-type +schema):\n%s", path, diff)
	}

	if diff := cmp.Diff(required, s.Required); diff != "" {
		t.Errorf("%s: required (-tags +schema):\n%s", path, diff)
	}
}

// sameInside goes on with the structs in a field.
func sameInside(t *testing.T, path string, s *jsonSchema, of reflect.Type) {
	t.Helper()

	switch {
	case of.Kind() == reflect.Struct:
		sameFields(t, path, s, of)
	case of.Kind() == reflect.Pointer && of.Elem().Kind() == reflect.Struct:
		sameFields(t, path, s, of.Elem())
	case of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.Struct:
		sameFields(t, path, s.Items.Schema, of.Elem())
	case of.Kind() == reflect.Map && of.Elem().Kind() == reflect.Struct:
		sameFields(t, path, s.AdditionalProperties.Schema, of.Elem())
	}
}

func sameLimits(t *testing.T, path string, s *jsonSchema, f reflect.StructField) {
	t.Helper()

	size := map[reflect.Kind]*int64{reflect.String: s.MaxLength, reflect.Slice: s.MaxItems, reflect.Map: s.MaxProperties}
	if got, counted := size[f.Type.Kind()]; counted && f.Tag.Get("max") != "" {
		same(t, path+" max", f.Tag.Get("max"), number(got))
	}

	if most := f.Tag.Get("items"); most != "" && s.Items != nil {
		same(t, path+" items", most, number(s.Items.Schema.MaxLength))
	}

	if most := f.Tag.Get("items"); most != "" && s.AdditionalProperties != nil {
		same(t, path+" items", most, number(s.AdditionalProperties.Schema.MaxLength))
	}

	if of := f.Type; of.Kind() != reflect.Struct {
		same(t, path+" default", f.Tag.Get("default"), written(s.Default))
	}

	rules := ""
	for _, rule := range s.XValidations {
		rules += rule.Rule + "\n"
	}

	for _, want := range wantRules(f) {
		if !strings.Contains(rules, want) {
			t.Errorf("%s: no rule has %q:\n%s", path, want, rules)
		}
	}
}

// wantRules are parts of the rules that a field must have.
func wantRules(f reflect.StructField) []string {
	want := []string{}

	if values := f.Tag.Get("enum"); values != "" {
		want = append(want, "self in ['', '"+strings.Join(slices.Sorted(strings.SplitSeq(values, ",")), "', '")+"']")
	}

	for _, form := range agentspec.Forms(f.Tag.Get("format")) {
		holds := "self.matches('" + strings.ReplaceAll(form.Pattern.String(), `\`, `\\`) + "')\n"
		if form.Not {
			holds = "!" + holds
		}

		want = append(want, " || "+holds)
	}

	least, most := f.Tag.Get("min"), f.Tag.Get("max")

	switch {
	case least == "":
	case f.Type == reflect.TypeFor[agentspec.Duration]():
		want = append(want, "duration(self) >= duration('"+least+"') && duration(self) <= duration('"+most+"')\n")
	case f.Type.Kind() == reflect.Pointer:
		want = append(want, "self >= "+double(least)+" && self <= "+double(most)+"\n")
	default:
		want = append(want, "self >= "+least+" && self <= "+most+"\n")
	}

	return want
}

func double(text string) string {
	if strings.Contains(text, ".") {
		return text
	}

	return text + ".0"
}

func same(t *testing.T, what, want, got string) {
	t.Helper()

	if want != got {
		t.Errorf("%s: the tag says %q, the schema %q", what, want, got)
	}
}

func number(n *int64) string {
	if n == nil {
		return ""
	}

	return strconv.FormatInt(*n, 10)
}

// written is a default as tags write it.
func written(fallback *apiextensionsv1.JSON) string {
	if fallback == nil {
		return ""
	}

	var text string
	if json.Unmarshal(fallback.Raw, &text) == nil {
		return text
	}

	return strings.Trim(string(fallback.Raw), "[]")
}
