package agentspec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a file.
//
// +kubebuilder:object:generate=false
type Problem struct {
	// File is the path as the caller named its folder.
	File string `json:"file,omitempty"`
	// Line and Column are from 1; 0 if the problem is not at a place.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Field is a path such as spec.tools[0].name; empty if the whole file is meant.
	Field string `json:"field,omitempty"`
	// Message says what is wrong and what is allowed.
	Message string `json:"message"`
}

// String writes the problem as file:line:column: field: message, without the parts that are not known.
func (p Problem) String() string {
	text := &strings.Builder{}

	if p.File != "" {
		text.WriteString(p.File)

		if p.Line > 0 {
			fmt.Fprintf(text, ":%d:%d", p.Line, p.Column)
		}

		text.WriteString(": ")
	}

	if p.Field != "" {
		text.WriteString(p.Field + ": ")
	}

	text.WriteString(p.Message)

	return text.String()
}

// Problems is an error that lists everything that is wrong, in the order of files and lines.
//
// +kubebuilder:object:generate=false
type Problems []Problem //nolint:errname // it is a list of problems, and reads as one

// Error writes one problem per line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}

	return strings.Join(lines, "\n")
}

// Err returns the problems as an error, nil if there are none.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}

	return p
}

// Sorted orders the problems by files and lines, in place.
func (p Problems) Sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})

	return p
}
