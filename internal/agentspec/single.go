package agentspec

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// LoadOne reads one agent of a file by itself: what it says of other agents and of tool servers is not checked, and
// where it does not say when to hand off, that stays open; [Set.Resolve] fills it in. The error is [Problems].
func LoadOne(path, name string) (Agent, error) {
	data, err := readPath(path)
	if err != nil {
		return Agent{}, err
	}

	found, _, err := pick(path, name, data, Parts{})
	if err != nil {
		return Agent{}, err
	}

	agent := found.agent.clone()
	Default(&agent)

	return agent, nil
}

func readPath(path string) ([]byte, error) {
	folder, base := filepath.Split(path)

	data, err := read(os.DirFS(filepath.Clean(folder)), base)
	if err != nil {
		return nil, Problems{{File: path, Message: reason(err)}}
	}

	return data, nil
}

// pick returns the named agent of a file, or the only one if no name is given, and all documents of the file. Parts
// take the place of what it says itself.
func pick(path, name string, data []byte, parts Parts) (*document, []*document, error) {
	isMeant := func(agent *Agent) bool { return agent != nil && (name == "" || agent.Metadata.Name == name) }

	documents, problems := parseWith(path, data, func(agent *Agent) {
		if isMeant(agent) {
			parts.put(agent)
		}
	})
	agents := slices.Sorted(maps.Keys(named(documents, KindAgent)))
	meant := slices.DeleteFunc(slices.Clone(documents), func(doc *document) bool { return !isMeant(doc.agent) })

	if problem := noneOrMany(name, len(meant), agents); problem != "" && len(problems) == 0 {
		return nil, nil, Problems{{File: path, Message: problem}}
	}

	for _, doc := range meant {
		resolveHere(os.DirFS(filepath.Dir(path)), doc)
		doc.report.merge(toItself(doc.agent))
		problems = slices.Concat(problems, doc.report.all())
	}

	if len(problems) > 0 {
		return nil, nil, problems.Sorted()
	}

	return meant[0], documents, nil
}

// noneOrMany says why it is not clear which agent of a file is meant; empty if it is, or if the name is there twice, which
// is told of the second.
func noneOrMany(name string, meant int, agents []string) string {
	switch {
	case name != "" && meant == 0:
		return "no agent " + quote(name) + " here; " + allowed(name, agents)
	case meant == 0:
		return "no object of kind Agent here"
	case name == "" && meant > 1:
		return fmt.Sprintf("%d agents here, %s: say which one is meant", meant, strings.Join(agents, ", "))
	default:
		return ""
	}
}
