package agentspec

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// agent checks what no tag can say.
func (v *validator) agent(spec *AgentSpec) {
	v.prompt(&spec.Prompt)
	unique(v, "spec.tools", "name", spec.Tools, func(t Tool) string { return t.Name })
	v.tools(spec.Tools)
	unique(v, "spec.handoffs", "agent", spec.Handoffs, func(h Handoff) string { return h.Agent })
	v.handoffs(spec.Handoffs)
	v.guardrails("spec.guardrails.input", spec.Guardrails.Input)
	v.guardrails("spec.guardrails.output", spec.Guardrails.Output)
	v.rollout(spec.Rollout)
	v.nonEmpty("spec.model.fallbacks", spec.Model.Fallbacks)

	if s := spec.Scaling; s.MinReplicas > 0 && s.MaxReplicas > 0 && s.MinReplicas > s.MaxReplicas {
		v.add("spec.scaling.minReplicas", "%d is more than maxReplicas, %d", s.MinReplicas, s.MaxReplicas)
	}
}

func (v *validator) prompt(prompt *Prompt) {
	switch {
	case prompt.Inline == "" && prompt.File == "":
		v.add("spec.prompt", "required: one of inline, file")
	case prompt.Inline != "" && prompt.File != "":
		v.add("spec.prompt", "want one source, not both inline and file")
	case prompt.Inline != "" && strings.TrimSpace(prompt.Inline) == "":
		v.add("spec.prompt.inline", "the prompt is blank")
	}
}

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

func (v *validator) guardrails(path string, rules []Guardrail) {
	unique(v, path, "name", rules, func(g Guardrail) string { return g.Name })

	for i, rule := range rules {
		kinds := 0

		for _, set := range []bool{rule.MaxLength != 0, rule.Pattern != "", len(rule.Words) > 0} {
			if set {
				kinds++
			}
		}

		if kinds != 1 {
			v.add(at(path, i), "want exactly one of maxLength, pattern, words; %d are set", kinds)
		}

		v.nonEmpty(at(path, i)+".words", rule.Words)
	}
}

func (v *validator) rollout(rollout Rollout) {
	const path = "spec.rollout.excludeTenants"

	v.steps(rollout.Steps)
	v.retirement(rollout)
	v.nonEmpty(path, rollout.ExcludeTenants)
	unique(v, path, "", rollout.ExcludeTenants, func(tenant string) string { return tenant })

	for i, tenant := range rollout.ExcludeTenants {
		if len(tenant) > maxTenant {
			v.add(at(path, i), "%d bytes are too many, tenants have at most %d", len(tenant), maxTenant)
		}
	}
}

// retirement compares what was written with the default of what was not.
func (v *validator) retirement(rollout Rollout) {
	fill(reflect.ValueOf(&rollout).Elem())

	if idle, after := rollout.RetireIdle, rollout.RetireAfter; idle > after {
		v.add("spec.rollout.retireIdle", "%v is more than retireAfter, %v: it would have no effect", idle, after)
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

	if command := server.Spec.Command; len(command) > 0 && strings.TrimSpace(command[0]) == "" {
		v.add("spec.command[0]", "want a program's name or path")
	}

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

func (v *validator) nonEmpty(path string, texts []string) {
	for i, text := range texts {
		if strings.TrimSpace(text) == "" {
			v.add(at(path, i), "an empty entry; write a value or remove it")
		}
	}
}

// unique reports names that a list has twice; without the name of a field the entries are the names.
func unique[T any](v *validator, path, name string, items []T, of func(T) string) {
	first := map[string]int{}

	for i, item := range items {
		if before, twice := first[of(item)]; twice {
			v.add(strings.TrimSuffix(join(at(path, i), name), "."), "%s is listed twice: see %s", quote(of(item)), at(path, before))
		} else {
			first[of(item)] = i
		}
	}
}
