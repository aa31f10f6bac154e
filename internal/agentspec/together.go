package agentspec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// together checks what objects say of each other. A problem belongs to the object that says what is wrong; the ones
// that belong to none are returned.
//
// If there are documents that could not be read, nobody is blamed for what may be in them.
func together(documents []*document, complete bool) Problems {
	agents := slices.Collect(maps.Keys(named(documents, KindAgent)))
	servers := slices.Collect(maps.Keys(named(documents, KindMCPServer)))

	for _, doc := range documents {
		switch {
		case doc.agent == nil:
		case complete:
			doc.report.merge(Strangers(doc.agent, agents, servers))
		default:
			doc.report.merge(toItself(doc.agent))
		}
	}

	return checkEntry(documents, complete)
}

// named indexes the objects of a kind by name and refuses a name that is taken.
func named(documents []*document, kind string) map[string]*document {
	index := map[string]*document{}

	for _, doc := range documents {
		if doc.kind() != kind || doc.meta().Name == "" {
			continue
		}

		name := doc.meta().Name
		if first, taken := index[name]; taken {
			doc.report.add("metadata.name", "another %s of this name is in %s", kind, first.place("metadata.name"))
		} else {
			index[name] = doc
		}
	}

	return index
}

// Strangers are the agents and MCPServers that an agent refers to and that are not among those that there are, by name.
func Strangers(agent *Agent, agents, servers []string) Problems {
	problems := toItself(agent)
	others := slices.DeleteFunc(slices.Clone(agents), func(name string) bool { return name == agent.Metadata.Name })

	for i, handoff := range agent.Spec.Handoffs {
		if !slices.Contains(agents, handoff.Agent) && handoff.Agent != agent.Metadata.Name {
			problems = append(problems, unknown(at("spec.handoffs", i)+".agent", "agent", handoff.Agent, others))
		}
	}

	for i, tool := range agent.Spec.Tools {
		if server := tool.Server(); server != "" && !slices.Contains(servers, server) {
			problems = append(problems, unknown(at("spec.tools", i)+".name", KindMCPServer, server, servers))
		}
	}

	return problems
}

// toItself are an agent's handoffs to itself.
func toItself(agent *Agent) (problems Problems) {
	for i, handoff := range agent.Spec.Handoffs {
		if handoff.Agent == agent.Metadata.Name {
			problems = append(problems, Problem{
				Field: at("spec.handoffs", i) + ".agent", Message: "an agent can't hand off to itself",
			})
		}
	}

	return problems
}

func unknown(field, kind, name string, known []string) Problem {
	return Problem{Field: field, Message: fmt.Sprintf("no %s %s; %s", kind, quote(name), allowed(name, known))}
}

// checkEntry wants exactly one agent that new conversations meet.
func checkEntry(documents []*document, complete bool) Problems {
	var entries, rest []*document

	for _, doc := range documents {
		switch {
		case doc.agent == nil:
		case doc.agent.Spec.Entry:
			entries = append(entries, doc)
		default:
			rest = append(rest, doc)
		}
	}

	if len(entries) > 1 {
		entries[1].report.add("spec.entry", "exactly one agent may have entry: true, and so have %s", places(entries, "spec.entry"))
	}

	if !complete || len(entries) > 0 || len(rest) == 0 || slices.ContainsFunc(rest, broken) {
		return nil
	}

	return Problems{{Message: "exactly one agent must have spec.entry: true, which new conversations meet, and none has: " +
		places(rest, "metadata.name")}}
}

// broken reports whether the object has problems of its own, which come first: they may be why its entry is not known.
func broken(doc *document) bool { return len(doc.report.problems) > 0 }

func places(documents []*document, field string) string {
	texts := make([]string, len(documents))
	for i, doc := range documents {
		texts[i] = strings.TrimSpace(fmt.Sprintf("%s (%s)", doc.meta().Name, doc.place(field)))
	}

	return strings.Join(texts, ", ")
}

// place says where a field of the object is.
func (d *document) place(field string) string {
	return fmt.Sprintf("%s:%d", d.report.file, d.report.find(field).line)
}
