package schema

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestCheckRecursion(t *testing.T) {
	for schema, want := range map[string]string{
		`{"$ref":"#"}`: "without end",
		`{"properties":{"a":{"$ref":"#/properties/a"}}}`:                      "without end",
		`{"anyOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"not":{"$ref":"#"}}}}`: "without end",
		`{"properties":{"child":{"$ref":"#"},"all":{"items":{"$ref":"#"}}}}`:  "",
		`{"$ref":"#/$defs/a~1b","$defs":{"a/b":true}}`:                        "",
		`{"$ref":"#/$defs/none"}`:                                             "nowhere",
		`{"$ref":"#name","$defs":{"a":{"$anchor":"name"}}}`:                   "not supported",
		`{"$ref":"https://example.com/x.json"}`:                               "not supported",
		`{"$dynamicRef":"#"}`:                                                 "not supported",
		`{"default":{"$ref":"#"}}`:                                            "",
		`{"properties":{"$ref":{"type":"string"},"allOf":{"type":"string"}}}`: "",
		doubling(20): "too many",
	} {
		err := checkRecursion([]byte(schema))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", schema, err, want)
		}
	}
}

// doubling is a schema that looks at a value twice as often with each level.
func doubling(levels int) string {
	var schema strings.Builder

	schema.WriteString(`{"$ref":"#/$defs/0","$defs":{`)

	for level := range levels {
		fmt.Fprintf(&schema, `"%d":{"anyOf":[{"$ref":"#/$defs/%d"},{"$ref":"#/$defs/%d"}]},`, level, level+1, level+1)
	}

	fmt.Fprintf(&schema, `"%d":true}}`, levels)

	return schema.String()
}

func TestCheckTypes(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"objekt"}`: `"objekt" at #`,
		`{"properties":{"type":{"type":["string","nil"]}}}`:                           `"nil" at #/properties/type`,
		`{"properties":{"type":{"type":"string"},"enum":{"anyOf":[{"type":"int"}]}}}`: `"int" at #/properties/enum/anyOf/0`,
		`{"enum":[{"type":"x"}],"default":{"type":"y"},"items":{"type":["null"]}}`:    "",
		`true`: "",
	} {
		var decoded any
		if err := json.Unmarshal([]byte(text), &decoded); err != nil {
			t.Fatal(err)
		}

		err := CheckTypes(decoded)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
