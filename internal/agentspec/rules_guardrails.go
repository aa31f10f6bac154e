package agentspec

import "github.com/serinhq/serin/internal/agentspec/schema"

func (v *validator) guardrails(path string, rules []Guardrail) {
	for i, rule := range rules {
		kinds := 0

		for _, set := range []bool{rule.MaxLength != 0, rule.Pattern != "", len(rule.Words) > 0, len(rule.Topics) > 0} {
			if set {
				kinds++
			}
		}

		if kinds != 1 {
			v.add(at(path, i), "want exactly one of maxLength, pattern, words, topics; %d are set", kinds)
		}

		if rule.Classifier != nil && len(rule.Topics) == 0 {
			v.add(at(path, i)+".classifier", "has a meaning with topics only")
		}
	}
}

func (v *validator) outputSchema(object Object) {
	if len(object) == 0 {
		return
	}

	err := schema.CheckTypes(any(object.tree()))
	if err == nil {
		_, err = schema.Compile(object)
	}

	if err != nil {
		v.add("spec.guardrails.outputSchema", "not a JSON Schema: %.512v", err)
	}
}
