package agentspec

import (
	"slices"
	"strings"
)

// together checks what objects say of each other. A problem belongs to the object that says what is wrong; the ones
// that belong to none are returned.
//
// If there are documents that could not be read, nobody is blamed for what may be in them.
func together(documents []*document, complete bool) Problems {
	agents := named(documents, KindAgent)
	servers := named(documents, KindMCPServer)

	for _, doc := range documents {
		if doc.agent != nil {
			checkHandoffs(doc, agents, complete)
		}

		if doc.agent != nil && complete {
			checkTools(doc, servers)
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

func checkHandoffs(doc *document, agents map[string]*document, complete bool) {
	own := doc.agent.Metadata.Name

	for i, handoff := range doc.agent.Spec.Handoffs {
		field := at("spec.handoffs", i) + ".agent"

		switch {
		case doc.report.follows(field):
		case handoff.Agent == own:
			doc.report.add(field, "an agent can't hand off to itself")
		case agents[handoff.Agent] == nil && complete:
			doc.report.add(field, "no agent %s; %s", quote(handoff.Agent), allowed(handoff.Agent, others(agents, own)))
		}
	}
}

func checkTools(doc *document, servers map[string]*document) {
	for i, tool := range doc.agent.Spec.Tools {
		field := at("spec.tools", i) + ".name"

		server := tool.Server()
		if server == "" || servers[server] != nil || doc.report.follows(field) {
			continue
		}

		doc.report.add(field, "no MCPServer %s; %s", quote(server), allowed(server, others(servers, "")))
	}
}

func others(index map[string]*document, own string) []string {
	names := []string{}

	for name := range index {
		if name != own {
			names = append(names, name)
		}
	}

	return names
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
		texts[i] = doc.meta().Name
		if place := doc.place(field); place != "" {
			texts[i] = strings.TrimSpace(texts[i] + " (" + place + ")")
		}
	}

	return strings.Join(texts, ", ")
}
