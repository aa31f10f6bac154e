package webapi

import (
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// object is the schema of arguments that is being made.
type object struct {
	properties map[string]any
	required   []string
}

func (o *object) add(name string, schema any, required bool) {
	o.properties[name] = schema
	if required {
		o.required = append(o.required, name)
	}
}

// parameters makes arguments of what goes into path, query and headers. What only browsers send is left out.
func (d *Document) parameters(made *Operation, at place, input *object) error {
	for _, each := range merged(at.item.Parameters, at.operation.Parameters) {
		if left, why := leavesOut(each); left {
			if each.Required {
				return fmt.Errorf("its parameter %q is required, and %s", each.Name, why)
			}

			continue
		}

		schema, style, err := d.parameterSchema(each)
		if err != nil {
			return fmt.Errorf("its parameter %q: %w", each.Name, err)
		}

		argument := each.Name
		if _, taken := input.properties[argument]; taken {
			argument = each.In + "_" + each.Name
		}

		input.add(argument, described(schema, each.Description), each.Required || each.In == inPath)

		placed := parameter{argument: argument, in: each.In, name: each.Name, style: style, explode: style == styleForm || style == styleDeep}
		if each.Explode != nil {
			placed.explode = *each.Explode
		}

		made.parameters = append(made.parameters, placed)
	}

	return nil
}

// merged are the parameters of a path and of an operation, of which the latter win.
func merged(lists ...openapi3.Parameters) []*openapi3.Parameter {
	var all []*openapi3.Parameter

	for _, list := range lists {
		for _, each := range list {
			if each == nil || each.Value == nil {
				continue
			}

			all = slices.DeleteFunc(all, func(other *openapi3.Parameter) bool {
				return other.Name == each.Value.Name && other.In == each.Value.In
			})
			all = append(all, each.Value)
		}
	}

	return all
}

// leavesOut reports whether a parameter is none of an argument's, and why.
func leavesOut(each *openapi3.Parameter) (left bool, why string) {
	switch each.In {
	case inPath, inQuery:
		return false, ""
	case inHeader:
		if err := checkHeader(each.Name); err != nil || strings.EqualFold(each.Name, "Accept") {
			return true, "the declaration's headers and auth, or Serin itself, say what is in this header"
		}

		return false, ""
	default:
		return true, "Serin sends none in " + each.In
	}
}

// parameterSchema returns a parameter's schema and how it is written.
func (d *Document) parameterSchema(each *openapi3.Parameter) (schema any, style string, err error) {
	if kinds := slices.Sorted(maps.Keys(each.Content)); len(kinds) > 0 { // there is one
		media := each.Content[kinds[0]]
		if base(kinds[0]) != kindJSON || media == nil || media.Schema == nil {
			return nil, "", fmt.Errorf("it is written as %q, which Serin can't", kinds[0])
		}

		schema, err = treeOf(media.Schema)

		return schema, styleJSON, err
	}

	if each.Schema == nil {
		return nil, "", errNoSchema
	}

	style = each.Style

	switch {
	case style == "" && each.In == inQuery:
		style = styleForm
	case style == "":
		style = styleSimple
	case each.In != inQuery && style != styleSimple,
		!slices.Contains([]string{styleForm, styleSimple, styleSpace, stylePipe, styleDeep}, style):
		return nil, "", fmt.Errorf("it is written in the style %q, which Serin can't in %s", style, each.In)
	}

	schema, err = treeOf(each.Schema)

	return schema, style, err
}

// described adds a parameter's words to its schema.
func described(schema any, words string) any {
	fields, ok := schema.(map[string]any)
	if !ok || words == "" {
		return schema
	}

	if _, has := fields["description"]; has {
		return schema
	}

	fields = maps.Clone(fields)
	fields["description"] = words

	return fields
}

// body makes an argument of what the request carries: the whole of it.
func (d *Document) body(made *Operation, operation *openapi3.Operation, input *object) error {
	if operation.RequestBody == nil || operation.RequestBody.Value == nil || !hasBody(made.Method) {
		return nil
	}

	asked := operation.RequestBody.Value

	kind, media := writable(asked.Content)
	if media == nil {
		if asked.Required {
			return fmt.Errorf("its body is one of %s, and Serin writes JSON and forms", strings.Join(slices.Sorted(maps.Keys(asked.Content)), ", "))
		}

		return nil
	}

	schema := any(true)

	if media.Schema != nil {
		var err error
		if schema, err = treeOf(media.Schema); err != nil {
			return fmt.Errorf("its body: %w", err)
		}
	}

	argument := "body"
	if _, taken := input.properties[argument]; taken {
		argument = "request_body"
	}

	input.add(argument, described(schema, asked.Description), asked.Required)
	made.body = body{kind: kind, argument: argument}

	return nil
}

// writable is the media type of a body that is written: JSON rather than a form.
func writable(content openapi3.Content) (kind string, media *openapi3.MediaType) {
	for _, suits := range []func(string) bool{isJSON, func(kind string) bool { return kind == "*/*" || kind == "application/*" }, isForm} {
		for _, kind := range slices.Sorted(maps.Keys(content)) {
			if content[kind] == nil || !suits(base(kind)) {
				continue
			}

			if strings.Contains(kind, "*") {
				return kindJSON, content[kind]
			}

			return base(kind), content[kind]
		}
	}

	return "", nil
}

func isForm(kind string) bool { return kind == kindForm }

// base is a media type without its parameters.
func base(kind string) string {
	parsed, _, err := mime.ParseMediaType(kind)
	if err != nil {
		return kind
	}

	return parsed
}
