package agentspec

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is one object of a file, decoded but not yet resolved. Exactly one of agent and server is set.
type document struct {
	agent  *Agent
	server *MCPServer
	report *report
}

func (d *document) meta() *Metadata {
	if d.agent != nil {
		return &d.agent.Metadata
	}

	return &d.server.Metadata
}

func (d *document) kind() string {
	if d.agent != nil {
		return KindAgent
	}

	return KindMCPServer
}

// parse reads the documents of a file. What can't be decoded as one of our kinds is a problem.
func parse(file string, data []byte) ([]*document, Problems) {
	return parseWith(file, data, func(*Agent) {})
}

// parseWith is parse; put changes agents before they are validated.
func parseWith(file string, data []byte, put func(*Agent)) ([]*document, Problems) {
	var (
		documents []*document
		problems  Problems
	)

	decoder := yaml.NewDecoder(bytes.NewReader(data))

	for {
		node := &yaml.Node{}

		err := decode(decoder, node)
		if errors.Is(err, io.EOF) {
			return documents, problems
		}

		if err != nil {
			return documents, append(problems, syntaxProblem(file, err))
		}

		if len(node.Content) == 0 || isNull(node.Content[0]) {
			continue
		}

		found, report := object(file, node.Content[0], put)
		if found == nil {
			problems = append(problems, report.all()...)
		} else {
			documents = append(documents, found)
		}
	}
}

// decode reads the next document. The library panics on some broken inputs; to a user that is a syntax error.
func decode(decoder *yaml.Decoder, node *yaml.Node) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("yaml: not readable as YAML")
		}
	}()

	return decoder.Decode(node) //nolint:wrapcheck // syntaxProblem says it in our words
}

// object decodes one document by its kind.
func object(file string, node *yaml.Node, put func(*Agent)) (*document, *report) {
	report := newReport(file, node.Line, node.Column)
	found := &document{report: report}
	decoder := &decoder{report: report}

	kindNode := child(node, "kind")

	switch {
	case node.Kind != yaml.MappingNode:
		report.add("", "want an object of kind Agent or MCPServer, not %s", describe(node))
	case kindNode == nil:
		report.add("kind", "required; allowed here: %s, %s", KindAgent, KindMCPServer)
	case kindNode.Value == KindAgent:
		found.agent = &Agent{}
		decoder.value(node, "", field{}, reflect.ValueOf(found.agent).Elem())
		put(found.agent)
		report.merge(found.agent.Validate())

		return found, report
	case kindNode.Value == KindMCPServer:
		found.server = &MCPServer{}
		decoder.value(node, "", field{}, reflect.ValueOf(found.server).Elem())
		report.merge(found.server.Validate())

		return found, report
	default:
		report.see("kind", kindNode)
		report.add("kind", "%s is unknown; %s", quote(kindNode.Value), allowed(kindNode.Value, []string{KindAgent, KindMCPServer}))
	}

	return nil, report
}

// child returns the value of a key of a mapping; nil if it is not there.
func child(node *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i+1]
		}
	}

	return nil
}

var lineForm = regexp.MustCompile(`^line (\d+): `)

// syntaxProblem brings the library's message into the form of all others.
func syntaxProblem(file string, err error) Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	problem := Problem{File: file, Line: 1, Column: 1}

	if found := lineForm.FindStringSubmatch(text); found != nil {
		problem.Line, _ = strconv.Atoi(found[1])
		text = strings.TrimPrefix(text, found[0])
	}

	problem.Message = "not YAML: " + text

	return problem
}
