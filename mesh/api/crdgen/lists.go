package main

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// list adds what the tags say of a list and its entries.
func list(into *schema, path string, t reflect.Type, tag reflect.StructTag) error {
	atomic := "atomic" // a list is what one file says, in its order; two writers must not make a third of it
	into.XListType = &atomic

	if tag.Get("required") == "true" {
		say(into, "size(self) > 0", "required")
	}

	if most, err := strconv.ParseInt(tag.Get("max"), 10, 64); err == nil {
		into.MaxItems = &most
	}

	entries(into.Items.Schema, tag)

	if name, ok := tag.Lookup("unique"); ok {
		unique(into, name)
	}

	if t.Elem().Kind() == reflect.Struct {
		return object(into.Items.Schema, path, t.Elem())
	}

	return nil
}

// mapping adds what the tags say of a map and its entries.
func mapping(into *schema, path string, t reflect.Type, tag reflect.StructTag) error {
	if most, err := strconv.ParseInt(tag.Get("max"), 10, 64); err == nil {
		into.MaxProperties = &most
	}

	entries(into.AdditionalProperties.Schema, tag)

	if t.Elem().Kind() == reflect.Struct {
		return object(into.AdditionalProperties.Schema, path, t.Elem())
	}

	return nil
}

// entries adds what the tags say of each text in a list or map.
func entries(into *schema, tag reflect.StructTag) {
	if most, err := strconv.ParseInt(tag.Get("items"), 10, 64); err == nil {
		bytes(into, most)
	}

	if of := tag.Get("of"); of != "" {
		bound(into)
		tell(into, "self in ['"+strings.ReplaceAll(of, ",", "', '")+"']", "unknown",
			words("%s is unknown; allowed here: "+strings.ReplaceAll(of, ",", ", "), quoted("self")))
	}

	if tag.Get("blank") == "no" {
		say(into, "self.trim() != ''", "an empty entry; write a value or remove it")
	}
}

// unique adds that no two entries of a list have the same name; without a field's name they are the names.
func unique(into *schema, name string) {
	of := func(entry string) string {
		if name == "" {
			return entry
		}

		return entry + "." + name
	}
	once := fmt.Sprintf("self.exists_one(other, %s == %s)", of("other"), of("entry"))

	tell(into, fmt.Sprintf("self.all(entry, %s)", once), "an entry is listed twice",
		fmt.Sprintf("self.map(entry, !%s, %s)[0]", once, words("%s is listed twice", quoted(of("entry")))))
}

// metadata adds what agentspec says of names, which only rules of the whole object can see.
func metadata(root *schema) {
	meta := root.Properties["metadata"]
	meta.Properties = map[string]schema{"name": {Type: "string"}} // for the paths of rules
	root.Properties["metadata"] = meta

	before := len(root.XValidations)
	forms(root, "self.metadata.name", "name")

	for i := range root.XValidations[before:] {
		root.XValidations[before+i].FieldPath = ".metadata.name"
	}
}
