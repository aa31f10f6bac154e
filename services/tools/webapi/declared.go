package webapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/serinhq/serin/internal/agentspec"
)

// noArguments is the schema of a tool that takes none.
const noArguments = `{"type":"object","properties":{},"additionalProperties":false}`

// FromHTTP makes an operation of a declaration. The error says what of it does not fit together.
func FromHTTP(declared *agentspec.HTTPTool) (*Operation, error) {
	path, err := parseTemplate(declared.Path)
	if err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}

	made := &Operation{
		Name: declared.Name, Description: declared.Description, Method: declared.Method,
		Input: json.RawMessage(noArguments), Output: json.RawMessage(declared.Output), path: path,
	}
	if len(declared.Input) > 0 {
		made.Input = json.RawMessage(declared.Input)
	}

	if hasBody(declared.Method) {
		made.body = body{kind: kindJSON, argument: declared.Body}
	} else if declared.Body != "" {
		return nil, fmt.Errorf("body: a %s carries none", declared.Method)
	}

	known, err := readProperties(made.Input)
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}

	if err := made.placePath(known); err != nil {
		return nil, err
	}

	return made, made.place(declared, known)
}

// properties are what a schema says of an object.
type properties struct {
	Type       any            `json:"type"`
	Properties map[string]any `json:"properties"`
	Required   []string       `json:"required"`
}

func readProperties(schema json.RawMessage) (properties, error) {
	known := properties{}
	if err := json.Unmarshal(schema, &known); err != nil {
		return known, fmt.Errorf("not a schema: %w", err)
	}

	if known.Type != "object" {
		return known, errors.New("want a schema with type: object")
	}

	return known, nil
}

func (p properties) has(name string) bool { _, ok := p.Properties[name]; return ok } //nolint:nlreturn // one thing

// placePath gives the arguments in the path their place.
func (o *Operation) placePath(known properties) error {
	for _, name := range o.path.names {
		if !slices.Contains(known.Required, name) || !known.has(name) {
			return fmt.Errorf("path: {%s} must be a property of input, and required", name)
		}

		o.parameters = append(o.parameters, parameter{argument: name, in: inPath, name: name, style: styleSimple})
	}

	return nil
}

// place gives the arguments their place that the declaration speaks of.
func (o *Operation) place(declared *agentspec.HTTPTool, known properties) error {
	for _, name := range slices.Sorted(maps.Keys(declared.Parameters)) {
		to := declared.Parameters[name]

		made := parameter{argument: name, in: to.In, name: to.Name, style: styleForm, explode: true}
		if made.name == "" {
			made.name = name
		}

		if err := o.check(made, known); err != nil {
			return fmt.Errorf("parameters.%s: %w", name, err)
		}

		o.parameters = append(o.parameters, made)
	}

	if o.body.argument == "" {
		return nil
	}

	if !known.has(o.body.argument) {
		return fmt.Errorf("body: %q is no property of input", o.body.argument)
	}

	for _, name := range slices.Sorted(maps.Keys(known.Properties)) {
		if to, placed := o.parameterOf(name); name != o.body.argument && (!placed || to.in == inBody) {
			return fmt.Errorf("body: %q is all of the body, so parameters must say whether %q is in query or header", o.body.argument, name)
		}
	}

	return nil
}

func (o *Operation) check(made parameter, known properties) error {
	before, placed := o.parameterOf(made.argument)

	switch {
	case !known.has(made.argument):
		return errors.New("no property of input")
	case placed:
		return fmt.Errorf("it is in the %s already", before.in)
	case made.argument == o.body.argument && o.body.argument != "":
		return errors.New("it is the whole body already")
	case made.in == inBody && o.body.kind == "":
		return fmt.Errorf("a %s carries no body", o.Method)
	case made.in == inHeader:
		return checkHeader(made.name)
	default:
		return nil
	}
}

// checkHeader refuses headers that arguments can't be in, as the form of declared ones does, and those that say who asks.
func checkHeader(name string) error {
	for _, form := range agentspec.Forms("header") {
		if form.Pattern.MatchString(name) == form.Not {
			return fmt.Errorf("%q%s", name, form.Message)
		}
	}

	if slices.Contains([]string{"Authorization", "Cookie"}, http.CanonicalHeaderKey(name)) {
		return fmt.Errorf("%q: an argument must not say who asks; auth does", name)
	}

	return nil
}
