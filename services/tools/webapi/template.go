package webapi

import (
	"fmt"
	"net/url"
	"strings"
)

// template is a path with arguments in it: texts and, between them, the arguments' names.
type template struct{ texts, names []string }

// parseTemplate reads a path such as /invoices/{id}/lines.
func parseTemplate(path string) (template, error) {
	read := template{}

	for rest := path; ; {
		text, after, found := strings.Cut(rest, "{")
		if strings.Contains(text, "}") {
			return template{}, fmt.Errorf("%q has a } without a {", path)
		}

		read.texts = append(read.texts, text)

		if !found {
			return read, nil
		}

		name, after, found := strings.Cut(after, "}")
		if !found || name == "" || strings.Contains(name, "{") {
			return template{}, fmt.Errorf("%q: want an argument's name in { and }", path)
		}

		read.names = append(read.names, name)
		rest = after
	}
}

// expand puts values, which are escaped, in the places of the names.
func (t template) expand(value func(name string) (string, error)) (string, error) {
	path := &strings.Builder{}

	for i, text := range t.texts {
		path.WriteString(text)

		if i == len(t.names) {
			break
		}

		written, err := value(t.names[i])
		if err != nil {
			return "", err
		}

		path.WriteString(url.PathEscape(written))
	}

	return path.String(), nil
}

// checkStep refuses a value that would be more than a step of a path to a server that unescapes it before it looks.
func checkStep(name, value string) error {
	if value == "" {
		return fmt.Errorf("%s: an empty text can't be in the path", name)
	}

	for step := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == '/' || r == '\\' }) {
		if step == "." || step == ".." {
			return fmt.Errorf("%s: %q would lead to another path", name, value)
		}
	}

	return nil
}
