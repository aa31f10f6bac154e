package main

import (
	"fmt"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

type rule = apiextensionsv1.ValidationRule

// quoted is the expression for a text as messages show it: in quotes, and cut to a length that a line can bear.
func quoted(expression string) string {
	return fmt.Sprintf("(size(%[1]s) > 64 ? strings.quote(%[1]s.substring(0, 64)) + '…' : strings.quote(%[1]s))", expression)
}

// words is the expression for a message in which %s stands for each of the expressions. It is not a sum of texts, because
// the API server takes each of those for endless when it estimates what a rule may cost.
func words(message string, expressions ...string) string {
	return literal(message) + ".format([" + strings.Join(expressions, ", ") + "])"
}

// literal writes a text of CEL.
func literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// matches is the expression for a text that fits a regular expression.
func matches(expression, pattern string) string {
	return fmt.Sprintf("%s.matches(%s)", expression, literal(pattern))
}

// say adds a rule with fixed words.
func say(into *schema, expression, message string) {
	into.XValidations = append(into.XValidations, rule{Rule: expression, Message: message})
}

// tell adds a rule whose words are an expression. The fixed ones are for when that can't be evaluated.
func tell(into *schema, expression, message, detailed string) {
	into.XValidations = append(into.XValidations, rule{Rule: expression, Message: message, MessageExpression: detailed})
}
