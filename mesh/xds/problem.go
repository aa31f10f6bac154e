package xds

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Problem is why an object is not translated as it is written.
type Problem struct {
	Object Ref
	// Field is the path, such as spec.http[2].mirror.
	Field string
	// Message says what is wrong, and what would be right.
	Message string
}

// String returns one line for people.
func (p Problem) String() string {
	return fmt.Sprintf("%s %s: %s: %s", p.Object.Kind, p.Object.Name, p.Field, p.Message)
}

// problems collects those of one object.
type problems struct {
	object Ref
	list   []Problem
}

func (p *problems) add(path, format string, args ...any) {
	p.list = append(p.list, Problem{p.object, path, fmt.Sprintf(format, args...)})
}

// err returns what the API answers, nil if there are none.
func (p *problems) err() error {
	list := make(field.ErrorList, 0, len(p.list))

	for _, problem := range p.list {
		list = append(list, &field.Error{Type: field.ErrorTypeForbidden, Field: problem.Field, Detail: problem.Message})
	}

	if len(list) == 0 {
		return nil
	}

	return list.ToAggregate() //nolint:wrapcheck // the API reads the fields off exactly this
}
