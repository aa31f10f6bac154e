package agentspec

import "fmt"

// Together checks what objects that did not come from files, such as those of a cluster, say of each other: it says what
// [Load] says of a folder. The first result is what is wrong with each object, by kind/name; the second is what no single
// object is to blame for. Each object by itself is valid already.
func Together(agents []Agent, servers []MCPServer) (map[string]Problems, Problems) {
	documents := make([]*document, 0, len(agents)+len(servers))

	for i := range agents {
		documents = append(documents, &document{agent: &agents[i], report: newReport("", 0, 0)})
	}

	for i := range servers {
		documents = append(documents, &document{server: &servers[i], report: newReport("", 0, 0)})
	}

	shared := together(documents, true)
	problems := map[string]Problems{}

	for _, doc := range documents {
		for _, problem := range doc.report.all() {
			name := doc.kind() + "/" + doc.meta().Name
			problems[name] = append(problems[name], Problem{Field: problem.Field, Message: problem.Message})
		}
	}

	return problems, shared
}

// place says where a field of the object is; empty if it is in no file.
func (d *document) place(field string) string {
	if d.report.file == "" {
		return ""
	}

	return fmt.Sprintf("%s:%d", d.report.file, d.report.find(field).line)
}
