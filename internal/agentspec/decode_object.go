package agentspec

import (
	"reflect"

	"go.yaml.in/yaml/v3"
)

// foreign decodes a mapping that is defined elsewhere: anything that JSON can hold.
func (d *decoder) foreign(node *yaml.Node, path string, into reflect.Value) {
	if node.Kind != yaml.MappingNode {
		d.report.add(path, "want a mapping, not %s", describe(node))

		return
	}

	if branch, ok := d.branch(node, path).(map[string]any); ok {
		into.SetBytes(newObject(branch))
	}
}

// branch turns a node into maps, lists and scalars.
func (d *decoder) branch(node *yaml.Node, path string) any {
	d.report.see(path, node)

	switch node.Kind { //nolint:exhaustive // documents are not within documents
	case yaml.AliasNode:
		d.report.add(path, "aliases are not supported; write the value out")

		return nil
	case yaml.MappingNode:
		entries := map[string]any{}
		for name, value := range d.pairs(node, path, key) {
			entries[name] = d.branch(value, key(path, name))
		}

		return entries
	case yaml.SequenceNode:
		items := make([]any, len(node.Content))
		for i, item := range node.Content {
			items[i] = d.branch(item, at(path, i))
		}

		return items
	default:
		return d.leaf(node, path)
	}
}

// leaf turns a scalar into a value of JSON. A date is a text to Kubernetes.
func (d *decoder) leaf(node *yaml.Node, path string) any {
	var err error

	switch node.ShortTag() {
	case "!!str", "!!timestamp":
		return node.Value
	case "!!null":
		return nil
	case "!!bool":
		var truth bool
		if err = node.Decode(&truth); err == nil {
			return truth
		}
	case "!!int":
		var whole int64
		if err = node.Decode(&whole); err == nil {
			return whole
		}
	case "!!float":
		var number float64
		if err = node.Decode(&number); err == nil && number-number == 0 { // neither infinite nor not a number
			return number
		}
	}

	d.report.add(path, "want a value of JSON, not %s", describe(node))

	return nil
}
