package tools

import (
	"encoding/json"
	"fmt"
)

const calculatorInput = `{"type":"object","properties":{"expression":{"type":"string","minLength":1,"maxLength":1000,` +
	`"description":"Arithmetic with + - * / % ^ and parentheses, such as (19.99 - 4.5) * 3"}},` +
	`"required":["expression"],"additionalProperties":false}`

func newCalculator() builtin {
	return builtin{
		name:        "calculator",
		description: "Calculate an arithmetic expression exactly: + - * / % (remainder) ^ (power) and parentheses.",
		input:       calculatorInput,
		run: func(arguments json.RawMessage) (string, error) {
			var request struct {
				Expression string `json:"expression"`
			}
			if err := json.Unmarshal(arguments, &request); err != nil {
				return "", fmt.Errorf("arguments: %w", err)
			}

			return calculate(request.Expression)
		},
	}
}
