package agentspec

import (
	"fmt"
	"maps"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxProblems is how many problems of one document are told; the rest would only scroll them away.
const maxProblems = 50

type place struct{ line, column int }

// report collects the problems of one document and knows where its fields are.
type report struct {
	file     string
	start    place
	places   map[string]place
	failed   map[string]bool
	problems Problems
	dropped  int
}

func newReport(file string, line, column int) *report {
	return &report{
		file: file, start: place{max(line, 1), max(column, 1)}, places: map[string]place{}, failed: map[string]bool{},
	}
}

// see remembers where a field is. A value's place wins over its key's, unless the value is empty.
func (r *report) see(path string, node *yaml.Node) {
	if node.Line > 0 {
		r.places[path] = place{node.Line, node.Column}
	}
}

// add reports a problem of a field, at its place or at that of the nearest field around it.
func (r *report) add(path, format string, args ...any) {
	where := r.find(path)
	r.addAt(path, where.line, where.column, format, args...)
}

func (r *report) addAt(path string, line, column int, format string, args ...any) {
	r.failed[path] = true

	if len(r.problems) >= maxProblems {
		r.dropped++

		return
	}

	r.problems = append(r.problems, Problem{
		File: r.file, Line: line, Column: column, Field: path, Message: fmt.Sprintf(format, args...),
	})
}

// merge adds problems that know their field but not their place, but for those that follow from one told already.
func (r *report) merge(problems Problems) {
	unread := maps.Clone(r.failed)

	for _, problem := range problems {
		if !r.follows(problem.Field) && !holds(unread, problem.Field) {
			r.add(problem.Field, "%s", problem.Message)
		}
	}
}

// holds reports whether one of the fields is below the path.
func holds(fields map[string]bool, path string) bool {
	for field := range fields {
		if rest, below := strings.CutPrefix(field, path); below && rest != "" && strings.ContainsRune(".[", rune(rest[0])) {
			return true
		}
	}

	return false
}

// follows reports whether the field or one around it has a problem already.
func (r *report) follows(path string) bool {
	for ; path != ""; path = parent(path) {
		if r.failed[path] {
			return true
		}
	}

	return r.failed[""]
}

func (r *report) find(path string) place {
	for ; path != ""; path = parent(path) {
		if found, ok := r.places[path]; ok {
			return found
		}
	}

	if found, ok := r.places[""]; ok {
		return found
	}

	return r.start
}

// all returns the problems; the last one says how many more there are.
func (r *report) all() Problems {
	if r.dropped > 0 {
		r.problems = append(r.problems, Problem{File: r.file, Message: fmt.Sprintf("and %d more problems", r.dropped)})
		r.dropped = 0
	}

	return r.problems
}

// parent cuts the last step of a path: a.b[1] -> a.b -> a -> "".
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}
