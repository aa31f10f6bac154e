package lint

import (
	"fmt"
)

// Severity is what becomes of a field.
type Severity string

// The severities. What is refused or ignored must not be applied; what is risky works, but not as one may think.
const (
	// Refused breaks more than itself: a client or a server refuses the whole configuration because of it, calls fail,
	// or a policy lets everyone in.
	Refused Severity = "refused"
	// Ignored does nothing.
	Ignored Severity = "ignored"
	// Risky works as it is written, which often is not what was meant.
	Risky Severity = "risky"
)

// Object names an object.
type Object struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String returns kind, namespace and name, such as VirtualService agents/billing.
func (o Object) String() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}

	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// Finding is one field that proxyless gRPC does not do as it is written.
type Finding struct {
	Object Object `json:"object"`
	// Field is the path, such as spec.http[2].mirror.
	Field string `json:"field"`
	// Value is what the object says there, as JSON; empty if it is something that is missing.
	Value    string   `json:"value,omitempty"`
	Severity Severity `json:"severity"`
	// Message says what happens instead, and what to write.
	Message string `json:"message"`
}

// Fatal reports whether the object must not be applied because of it.
func (f Finding) Fatal() bool { return f.Severity != Risky }

// String returns one line for people.
func (f Finding) String() string { return fmt.Sprintf("%s: %s: %s", f.Object, f.Field, f.Text()) }

// Text is what there is to say about the field, without where it is.
func (f Finding) Text() string {
	if f.Value == "" {
		return fmt.Sprintf("%s: %s", f.Severity, f.Message)
	}

	return fmt.Sprintf("%s: %s: %s", f.Severity, f.Value, f.Message)
}
