package tools

import (
	"encoding/json"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/serinhq/serin/internal/agentspec/schema"
)

func TestCalculate(t *testing.T) {
	for expression, want := range map[string]string{
		"1+1":                "2",
		"2 + 3\t* 4\n":       "14",
		"(2+3)*4":            "20",
		"0.1+0.2":            "0.3",
		"19.99*3":            "59.97",
		"10/4":               "2.5",
		"1/3":                "0.333333333333333",
		"2/3":                "0.666666666666667",
		"10%3":               "1",
		"-10%3":              "-1",
		"5.5%2":              "1.5",
		"-2^2":               "-4",
		"(-2)^2":             "4",
		"2^3^2":              "512",
		"2^-2":               "0.25",
		"2^0.5":              "1.4142135623731",
		"9^0.5":              "3",
		"--3":                "3",
		"+-3":                "-3",
		"2*-3":               "-6",
		".5+5.":              "5.5",
		"2^100":              "1267650600228229401496703205376",
		"9007199254740993+0": "9007199254740993",
		"1/10^25":            "1e-25",
		"0^0":                "1",
		"1^4096":             "1",
		"100-2*(3+4)/7":      "98",
	} {
		if got, err := calculate(expression); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %s", expression, got, err, want)
		}
	}
}

func TestCalculateRefuses(t *testing.T) {
	for expression, want := range map[string]string{
		"":                         "ends where a number",
		"1+":                       "ends where a number",
		"(1":                       `ends where ")"`,
		"1)":                       `unexpected ')' at position 2`,
		"1 2":                      `unexpected '2' at position 3`,
		"two":                      `unexpected 't' at position 1`,
		"1,000":                    `unexpected ',' at position 2`,
		".":                        `unexpected '.'`,
		"1.2.3":                    `unexpected '.'`,
		"1e9":                      `unexpected 'e'`,
		"1/0":                      "division by zero",
		"1%0":                      "division by zero",
		"0^-1":                     "division by zero",
		"9^9^9":                    "too large",
		"9^4096":                   "longer than 4096 bits",
		"(2^4000)*(2^4000)":        "longer than 4096 bits",
		"(-8)^0.5":                 "not a real number",
		"10^999.5":                 "longer than",
		"ä":                        `unexpected 'ä'`,
		strings.Repeat("(", 500):   "nested deeper",
		strings.Repeat("-", 500):   "nested deeper",
		strings.Repeat("2^", 500):  "nested deeper",
		strings.Repeat("1+", 1000): "too many",
	} {
		if got, err := calculate(expression); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s = %q, %v; want %q", expression, got, err, want)
		}
	}
}

func FuzzCalculate(f *testing.F) {
	for _, seed := range []string{"1+2*3", "(1.5-2)/3", "2^-10%7", "--1", "9^99", "1/3^50"} {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, expression string) {
		result, err := calculate(expression)
		if err != nil {
			return
		}

		if _, ok := new(big.Float).SetString(result); !ok {
			t.Fatalf("%q = %q, which is not a number", expression, result)
		}

		if len(result) > 2000 {
			t.Fatalf("%q has a result of %d bytes", expression, len(result))
		}

		again, err := calculate("(" + expression + ")-(" + expression + ")")
		if err == nil && again != "0" {
			t.Fatalf("(%s) minus itself = %q", expression, again)
		}
	})
}

// FuzzCalculateAgainstFloats compares sums and products with Go's own arithmetic.
func FuzzCalculateAgainstFloats(f *testing.F) {
	f.Add(1.5, 2.25, byte('+'))
	f.Fuzz(func(t *testing.T, left, right float64, operator byte) {
		if !(math.Abs(left) < 1e15) || !(math.Abs(right) < 1e15) || math.Abs(left) < 1e-9 || math.Abs(right) < 1e-9 {
			return
		}

		var want float64

		switch operator {
		case '+':
			want = left + right
		case '-':
			want = left - right
		case '*':
			want = left * right
		case '/':
			want = left / right
		default:
			return
		}

		text := strconv.FormatFloat(left, 'f', -1, 64) + string(operator) + strconv.FormatFloat(right, 'f', -1, 64)

		result, err := calculate(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}

		got, err := strconv.ParseFloat(result, 64)
		if err != nil || math.Abs(got-want) > 1e-9*(math.Abs(left)+math.Abs(right)+math.Abs(want)) {
			t.Fatalf("%s = %s, want %v", text, result, want)
		}
	})
}

func FuzzModelName(f *testing.F) {
	allowed := regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

	f.Add("billing", "refund")
	f.Add("a", strings.Repeat("long", 50))
	f.Add("s", "größe/λ")
	f.Fuzz(func(t *testing.T, server, tool string) {
		if !serverName.MatchString(server) {
			return
		}

		name := modelName(server, tool)
		if !allowed.MatchString(name) || serverOf(name) != server {
			t.Fatalf("%q of %q is %q", tool, server, name)
		}
	})
}

func FuzzCut(f *testing.F) {
	f.Add("größe", int64(3))
	f.Add("\xff\xfe", int64(1))
	f.Fuzz(func(t *testing.T, text string, limit int64) {
		if limit < 0 || limit > 1<<20 {
			return
		}

		got := cut(text, limit)
		shown, _, _ := strings.Cut(got, "\n[cut: ")

		if !utf8.ValidString(got) {
			t.Fatalf("%q is not valid UTF-8", got)
		}

		if int64(len(shown)) > limit && !strings.Contains(text, "\n[cut: ") {
			t.Fatalf("%d bytes shown, at most %d", len(shown), limit)
		}
	})
}

func FuzzCheckArguments(f *testing.F) {
	schema, err := schema.Compile([]byte(`{"type":"object","properties":{"n":{"type":"integer"},"s":{"type":"string"}},"required":["n"]}`))
	if err != nil {
		f.Fatal(err)
	}

	for _, seed := range []string{`{"n":1}`, `{"n":1,"n":"x"}`, `{"n":9007199254740993}`, `{"n":1e400}`, `{} {}`, `[1]`, `null`, ``} {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, raw string) {
		arguments, err := checkArguments(schema, raw)
		if err != nil {
			return
		}

		var decoded map[string]any
		if json.Unmarshal(arguments, &decoded) != nil || schema.Validate(decoded) != nil {
			t.Fatalf("%q passed as %s", raw, arguments)
		}
	})
}

func FuzzCompile(f *testing.F) {
	f.Add(`{"type":"object"}`, `{}`)
	f.Add(`{"$ref":"#/$defs/a","$defs":{"a":{"type":"string"}}}`, `"x"`)
	f.Add(`{"$ref":"#"}`, `1`)
	f.Add(`{"anyOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"not":{"$ref":"#"}}}}`, `1`)
	f.Add(`{"dependencies":{"x":["y"]},"$ref":"#/%24defs/a~1b","$defs":{"a/b":true}}`, `{"x":1}`)
	f.Add(`{"properties":{"child":{"$ref":"#"}}}`, `{"child":{"child":{}}}`)
	f.Fuzz(func(_ *testing.T, text, value string) {
		resolved, err := schema.Compile([]byte(text))
		if err != nil {
			return
		}

		var decoded any
		if json.Unmarshal([]byte(value), &decoded) == nil {
			_ = validate(resolved, decoded)
		}
	})
}
