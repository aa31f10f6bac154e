package agentspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Parts take the place of fields of an agent's file: its prompt's text, its tools and its guardrails. What is nil leaves
// the field as it is.
//
// +kubebuilder:object:generate=false
type Parts struct {
	Prompt     *string
	Tools      []Tool
	Guardrails *Guardrails
}

// put leaves the digest that the file declares for its prompt: the text must have it, wherever it comes from.
func (p Parts) put(agent *Agent) {
	if p.Prompt != nil {
		agent.Spec.Prompt = Prompt{Inline: *p.Prompt, Digest: agent.Spec.Prompt.Digest}
	}

	if p.Tools != nil {
		agent.Spec.Tools = slices.Clone(p.Tools)
	}

	if p.Guardrails != nil {
		agent.Spec.Guardrails = *p.Guardrails.DeepCopy()
	}
}

// Assemble reads one agent of a file, puts parts into it and resolves it, so that it is what [MarshalResolved] takes. The
// file is one of a person, or what [MarshalResolved] wrote. With an empty name it must hold one agent. Where the agent
// does not say when to hand off, the file must have the other agent, too. The error is [Problems].
func Assemble(path, name string, parts Parts) (Agent, error) {
	data, err := readPath(path)
	if err != nil {
		return Agent{}, err
	}

	if agent, ok := asResolved(data); ok {
		return assembleResolved(path, name, agent, parts)
	}

	found, documents, err := pick(path, name, data, parts)
	if err != nil {
		return Agent{}, err
	}

	set := &Set{}

	for _, doc := range documents {
		if doc.agent != nil {
			set.Agents = append(set.Agents, *doc.agent)
		}
	}

	agent := set.Resolve(*found.agent)

	for i, handoff := range agent.Spec.Handoffs {
		if handoff.When == "" {
			found.report.add(at("spec.handoffs", i)+".when",
				"required here: by default it is the description of agent %s, which is not in this file", quote(handoff.Agent))
		}
	}

	if problems := found.report.all(); len(problems) > 0 {
		return Agent{}, problems.Sorted()
	}

	return agent, nil
}

func assembleResolved(path, name string, agent Agent, parts Parts) (Agent, error) {
	if name != "" && name != agent.Metadata.Name {
		return Agent{}, Problems{{File: path, Message: noneOrMany(name, 0, []string{agent.Metadata.Name})}}
	}

	parts.put(&agent)

	problems := append(agent.Validate(), toItself(&agent)...)
	for i := range problems {
		problems[i].File = path
	}

	Default(&agent)

	return agent, problems.Err()
}

// asResolved returns the agent that was written by [MarshalResolved], by this release or another; false if the data are
// something else.
func asResolved(data []byte) (Agent, bool) {
	agent := Agent{}
	data = bytes.TrimSpace(data)

	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()

	if err := decoder.Decode(&agent); err != nil || !agent.Spec.Prompt.isResolved() {
		return Agent{}, false
	}

	out := &bytes.Buffer{}
	canonical(out, tree(reflect.ValueOf(agent), func(field, reflect.Value) bool { return true }))

	return agent, bytes.Equal(out.Bytes(), data)
}

// ParseTools reads a list of tools as spec.tools has it, in YAML or JSON; never nil. Problems name the file. The error is
// [Problems].
func ParseTools(file string, data []byte) ([]Tool, error) {
	spec, err := parsePart(file, data, "tools", "a list of tools, as in spec.tools")
	if err != nil {
		return nil, err
	}

	return append([]Tool{}, spec.Tools...), nil
}

// ParseGuardrails reads guardrails as spec.guardrails has them, in YAML or JSON. Problems name the file. The error is
// [Problems].
func ParseGuardrails(file string, data []byte) (Guardrails, error) {
	spec, err := parsePart(file, data, "guardrails", "a mapping, as in spec.guardrails")

	return spec.Guardrails, err
}

// parsePart reads one field of a spec that stands in a file by itself.
func parsePart(file string, data []byte, name, want string) (AgentSpec, error) {
	spec := AgentSpec{}
	fields := fieldsOf(reflect.TypeFor[AgentSpec]())
	part := fields[slices.IndexFunc(fields, func(f field) bool { return f.name == name })]
	path, into := join("spec", name), reflect.ValueOf(&spec).Elem().Field(part.index)

	node, problem := onlyDocument(file, data)
	if problem != nil {
		return AgentSpec{}, Problems{*problem}
	}

	report := newReport(file, 1, 1)

	if node == nil || isNull(node) {
		report.add(path, "want %s, not nothing", want)

		return AgentSpec{}, report.all()
	}

	(&decoder{report: report}).value(node, path, part, into)

	v := &validator{}
	v.value(into, path, part)
	v.tools(spec.Tools)
	v.guardrails("spec.guardrails.input", spec.Guardrails.Input)
	v.guardrails("spec.guardrails.output", spec.Guardrails.Output)
	v.outputSchema(spec.Guardrails.OutputSchema)
	report.merge(v.problems)

	if problems := report.all(); len(problems) > 0 {
		return AgentSpec{}, problems.Sorted()
	}

	return spec, nil
}

// onlyDocument returns the root of a file's one document; nil if there is none.
func onlyDocument(file string, data []byte) (*yaml.Node, *Problem) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	first, second := &yaml.Node{}, &yaml.Node{}

	switch err := decode(decoder, first); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		problem := syntaxProblem(file, err)

		return nil, &problem
	}

	if err := decode(decoder, second); !errors.Is(err, io.EOF) {
		return nil, &Problem{File: file, Line: max(second.Line, 1), Column: max(second.Column, 1), Message: "want one document; another follows"}
	}

	if len(first.Content) == 0 {
		return nil, nil
	}

	return first.Content[0], nil
}

// MarshalTools writes tools as canonical JSON, which [ParseTools] reads.
func MarshalTools(tools []Tool) []byte { return marshalPart(tools) }

// MarshalGuardrails writes guardrails as canonical JSON, which [ParseGuardrails] reads.
func MarshalGuardrails(guardrails Guardrails) []byte { return marshalPart(guardrails) }

func marshalPart(part any) []byte {
	out := &bytes.Buffer{}
	canonical(out, tree(reflect.ValueOf(part), func(field, reflect.Value) bool { return true }))

	return out.Bytes()
}
