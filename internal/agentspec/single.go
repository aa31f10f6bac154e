package agentspec

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// LoadOne reads one agent of a file by itself: what it says of other agents and of tool servers is not checked, and
// where it does not say when to hand off, that stays open; [Set.Resolve] fills it in. The error is [Problems].
func LoadOne(path, name string) (Agent, error) {
	folder, base := filepath.Split(path)
	fsys := os.DirFS(filepath.Clean(folder))

	data, err := read(fsys, base)
	if err != nil {
		return Agent{}, Problems{{File: path, Message: reason(err)}}
	}

	documents, problems := parse(path, data)
	agents := named(documents, KindAgent)

	found := agents[name]
	if found == nil && len(problems) == 0 {
		there := slices.Collect(maps.Keys(agents))

		return Agent{}, Problems{{File: path, Message: "no agent " + quote(name) + " here; " + allowed(name, there)}}
	}

	for _, doc := range documents {
		if doc.agent != nil && doc.meta().Name == name {
			resolveHere(fsys, doc)
			doc.report.merge(toItself(doc.agent))
			problems = slices.Concat(problems, doc.report.all())
		}
	}

	if len(problems) > 0 {
		return Agent{}, problems.Sorted()
	}

	agent := found.agent.clone()
	Default(&agent)

	return agent, nil
}
