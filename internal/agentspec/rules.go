package agentspec

import (
	"maps"
	"slices"
	"strings"
)

// agent checks what no tag can say.
func (v *validator) agent(spec *AgentSpec) {
	v.prompt(&spec.Prompt)
	v.tools(spec.Tools)
	v.handoffs(spec.Handoffs)
	v.guardrails("spec.guardrails.input", spec.Guardrails.Input)
	v.guardrails("spec.guardrails.output", spec.Guardrails.Output)
	v.outputSchema(spec.Guardrails.OutputSchema)
	v.retriever(spec.Retriever)
	v.steps(spec.Rollout.Steps)
}

func (v *validator) prompt(prompt *Prompt) {
	sources := prompt.sources()

	switch {
	case len(sources) == 0:
		v.add("spec.prompt", "required: one of inline, file, configMapKeyRef")
	case len(sources) > 1:
		v.add("spec.prompt", "want one source, not %s", strings.Join(sources, " and "))
	case prompt.Inline != "" && isBlank(prompt.Inline):
		v.add("spec.prompt.inline", "the prompt is blank")
	}

	if prompt.ConfigMapKeyRef != nil && prompt.Digest == "" {
		v.add("spec.prompt.digest", "required with configMapKeyRef: a ConfigMap can change, and a revision can't")
	}
}

// sources are the names of the fields that give the prompt.
func (p *Prompt) sources() []string {
	sources := []string{}
	if p.Inline != "" {
		sources = append(sources, "inline")
	}

	if p.File != "" {
		sources = append(sources, "file")
	}

	if p.ConfigMapKeyRef != nil {
		sources = append(sources, "configMapKeyRef")
	}

	return sources
}

func isBlank(text string) bool { return strings.TrimSpace(text) == "" }

func (v *validator) tools(tools []Tool) {
	for i, tool := range tools {
		known := strings.Contains(tool.Name, "_") || slices.Contains(BuiltinTools(), tool.Name)
		if !known && check("tool", tool.Name) == "" {
			v.add(at("spec.tools", i)+".name", "no built-in tool %s; %s; tools of servers are server_tool",
				quote(tool.Name), allowed(tool.Name, BuiltinTools()))
		}
	}
}

func (v *validator) handoffs(handoffs []Handoff) {
	for i, handoff := range handoffs {
		path := at("spec.handoffs", i) + ".lastN"

		switch last := handoff.History == "last"; {
		case last && handoff.LastN == 0:
			v.add(path, "required with history: last; 1 to 1000 messages")
		case !last && handoff.LastN != 0:
			v.add(path, "has a meaning with history: last only")
		}
	}
}

func (v *validator) steps(steps []int32) {
	const path = "spec.rollout.steps"

	for i, step := range steps {
		if step < 1 || step > 100 {
			v.add(at(path, i), "%d is out of range, 1 to 100 percent", step)
		} else if i > 0 && step <= steps[i-1] {
			v.add(at(path, i), "%d is not more than the step before, %d", step, steps[i-1])
		}
	}

	if len(steps) > 0 && steps[len(steps)-1] != 100 {
		v.add(path, "the last step must be 100")
	}
}

// server checks what no tag can say.
func (v *validator) server(server *MCPServer) {
	if server.Metadata.Name == "handoff" {
		v.add("metadata.name", `"handoff" is taken: its tools would look like handoffs to agents`)
	}

	if command := server.Spec.Command; len(command) > 0 && isBlank(command[0]) {
		v.add("spec.command[0]", "want a program's name or path")
	}

	v.source(&server.Spec)
	v.web(&server.Spec)

	for _, name := range slices.Sorted(maps.Keys(server.Spec.Env)) {
		value := server.Spec.Env[name]
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			v.add(key("spec.env", name), "not an environment variable: names have no =, and nothing has a zero byte")
		}
	}

	if _, ok := server.Spec.Tools[""]; ok {
		v.add(key("spec.tools", ""), "a tool's name must not be empty")
	}
}
