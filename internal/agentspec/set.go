package agentspec

import "strings"

// Set is the agents and tool servers that belong together, each kind sorted by name.
//
// +kubebuilder:object:generate=false
type Set struct {
	Agents  []Agent     `json:"agents"`
	Servers []MCPServer `json:"servers"`

	origins map[string]*report
}

// Origin is where an object was written.
//
// +kubebuilder:object:generate=false
type Origin struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

// Agent returns the agent of that name.
func (s *Set) Agent(name string) (Agent, bool) {
	for _, agent := range s.Agents {
		if agent.Metadata.Name == name {
			return agent, true
		}
	}

	return Agent{}, false
}

// Entry returns the agent that new conversations meet; false if there are no agents.
func (s *Set) Entry() (Agent, bool) {
	for _, agent := range s.Agents {
		if agent.Spec.Entry {
			return agent, true
		}
	}

	return Agent{}, false
}

// Origin returns where the object was written; the zero value if it did not come from a file.
func (s *Set) Origin(kind, name string) Origin {
	if found := s.origins[kind+"/"+name]; found != nil {
		return Origin{File: found.file, Line: found.start.line}
	}

	return Origin{}
}

// Placed returns problems of an object, which know their fields, with the places of these in its file.
func (s *Set) Placed(kind, name string, problems Problems) Problems {
	found := s.origins[kind+"/"+name]
	if found == nil {
		return problems
	}

	placed := make(Problems, len(problems))

	for i, problem := range problems {
		where := found.find(problem.Field)
		problem.File, problem.Line, problem.Column = found.file, where.line, where.column
		placed[i] = problem
	}

	return placed
}

// Callers returns the agents that may hand off to the agent, by name, sorted.
func Callers(set *Set, agent string) []string {
	callers := []string{}

	for _, other := range set.Agents {
		for _, handoff := range other.Spec.Handoffs {
			if handoff.Agent == agent {
				callers = append(callers, other.Metadata.Name)

				break
			}
		}
	}

	return callers
}

// Grants returns the tools that each agent may use, by the agent's name.
func Grants(set *Set) map[string][]Tool {
	grants := make(map[string][]Tool, len(set.Agents))
	for _, agent := range set.Agents {
		grants[agent.Metadata.Name] = agent.Spec.Tools
	}

	return grants
}

// Server returns the MCPServer that a tool belongs to; empty for a built-in tool.
func (t Tool) Server() string {
	server, _, found := strings.Cut(t.Name, "_")
	if !found {
		return ""
	}

	return server
}
