package agentspec

import (
	"reflect"
	"strings"
)

// Default fills what was left out and brings values into their normal form. It is the one defaulter: whatever else
// fills defaults, such as a CRD's schema, must agree with the tags that it reads. Doing it twice changes nothing.
//
// A default that changes would change the behaviour of agents without changing their revisions, and the revisions of
// agents that wrote the new value out: never change one.
func Default(agent *Agent) {
	fill(reflect.ValueOf(agent).Elem())
	agent.Spec.Budgets.CostUSD = normalUSD(agent.Spec.Budgets.CostUSD)
}

// fill sets zero fields to their defaults, through structs, lists and what is pointed to.
func fill(value reflect.Value) {
	switch value.Kind() { //nolint:exhaustive // defaults are fields of structs; nothing else holds structs here
	case reflect.Pointer:
		if !value.IsNil() {
			fill(value.Elem())
		}
	case reflect.Struct:
		for _, f := range fieldsOf(value.Type()) {
			inner := value.Field(f.index)
			if fallback, ok := f.fallback(); ok && inner.IsZero() {
				inner.Set(fallback)
			}

			fill(inner)
		}
	case reflect.Slice:
		for i := range value.Len() {
			fill(value.Index(i))
		}
	}
}

// normalUSD drops zeros that mean nothing: 00.250 and 0.25 are the same budget.
func normalUSD(amount string) string {
	whole, fraction, _ := strings.Cut(amount, ".")
	fraction = strings.TrimRight(fraction, "0")

	if whole = strings.TrimLeft(whole, "0"); whole == "" && (fraction != "" || amount != "") {
		whole = "0"
	}

	if fraction == "" {
		return whole
	}

	return whole + "." + fraction
}
