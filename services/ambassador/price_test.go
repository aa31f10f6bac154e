package ambassador

import (
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPricesByName(t *testing.T) {
	table, err := parsePrices([]byte(`
prices:
  m: {input: 1, output: 1}
  eu/m: {input: 2, output: 1}
  eu/*: {input: 3, output: 1}
  m-2026-01-02: {input: 4, output: 1}
  claude: {input: 5, output: 1}
`))
	if err != nil {
		t.Fatal(err)
	}

	for name, want := range map[string]float64{
		"us/m": 1, "eu/m": 2, "eu/other": 3, "us/m-2026-01-02": 4, "us/m-2025-01-02": 1, "us/claude-20251001": 5, "us/other": 0,
		"eu/m-2025-01-02": 2, "us/m-small": 0,
	} {
		provider, model, _ := strings.Cut(name, "/")

		found, known := table.find(provider, model)
		if known != (want > 0) || known && *found.Input != want {
			t.Errorf("%s: got %v, %v", name, found.Input, known)
		}
	}
}

func TestCost(t *testing.T) {
	table, err := parsePrices([]byte(`
prices:
  whole: {input: 10, cachedInput: 1, cacheWrite: 12, cacheWrite1h: 20, output: 50}
  short: {input: 10, output: 50}
  tier: {input: 1, output: 2, above: {prompt: 100, input: 5, cachedInput: 4, output: 6}}
`))
	if err != nil {
		t.Fatal(err)
	}

	for name, test := range map[string]struct {
		used usage
		want float64 // of a dollar's millionth
	}{
		"whole":  {usage{prompt: 16, cached: 4, completion: 40}, 12*10 + 4*1 + 40*50},
		"whole ": {usage{prompt: 30, cached: 4, written: 10, longer: 3, completion: 1}, 16*10 + 4 + 7*12 + 3*20 + 50},
		"short":  {usage{prompt: 30, cached: 4, written: 10, longer: 10, completion: 1}, 30*10 + 50},
		"tier":   {usage{prompt: 100, completion: 1}, 100 + 2},
		"tier ":  {usage{prompt: 101, cached: 1, completion: 1}, 100*5 + 4 + 6},
		"whole  ": { // what a provider should not say
			usage{prompt: 1, cached: 5, written: 2, longer: 9}, 5 + 2*20,
		},
	} {
		found, _ := table.find("p", strings.TrimSpace(name))
		if got := found.cost(test.used) * 1e6; math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s %+v: got %v, want %v", name, test.used, got, test.want)
		}
	}

	tiered := table["tier"]
	if input, output := tiered.dearest(); input != 5 || output != 6 {
		t.Errorf("dearest: %v, %v", input, output)
	}
}

func TestPriceFileErrorsNameTheEntry(t *testing.T) {
	for file, want := range map[string]string{
		"prices: {m: {input: 1}}":                       "prices.m.input and output",
		"prices: {m: {input: -1, output: 1}}":           "prices.m.input: is -1",
		"prices: {m: {input: 1, output: .nan}}":         "prices.m.output: is NaN",
		"prices: {m: {input: 1, output: 1, cached: 1}}": "field cached not found",
		"price: {}":                              "field price not found",
		"prices: {m: {input: cheap, output: 1}}": "line 1",
		"prices: {m: {input: 1, output: 1, above: {input: 1, output: 1}}}":              "prices.m.above.prompt",
		"prices: {m: {input: 1, output: 1, above: {prompt: 5, input: 1}}}":              "prices.m.input and output",
		"prices: {m: {input: 1, output: 1, above: {prompt: 5, i: 1, output: 2}}}":       "field i not found",
		"prices: {m: {input: 1, output: 1, above: {prompt: 5, input: 9e9, output: 2}}}": "input: is 9e+09",
	} {
		if _, err := parsePrices([]byte(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", file, err)
		}
	}

	if _, err := newPrices(filepath.Join(t.TempDir(), "none.yaml"), slog.Default()); err == nil {
		t.Error("a file that is not there is taken")
	}
}

func TestPriceFileIsReadAgain(t *testing.T) {
	path, now := filepath.Join(t.TempDir(), "prices.yaml"), time.Now()
	write := func(content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}

		now = now.Add(keyCheck)

		if err := os.Chtimes(path, now, now); err != nil {
			t.Fatal(err)
		}
	}

	write("prices: {m: {input: 1, output: 1}}")

	read, err := newPrices(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}

	read.now = func() time.Time { return now }
	want := func(input float64) {
		t.Helper()

		if found, known := read.find(t.Context(), "p", "m"); !known || *found.Input != input {
			t.Errorf("got %v, want %v", found.Input, input)
		}
	}

	want(1)
	write("prices: {m: {input: 2, output: 1}}")
	want(2)
	write("prices: {m: {input: wrong")
	want(2)

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}

	now = now.Add(keyCheck)

	want(2)
	write("prices: {m: {input: 3, output: 1}}")
	want(3)

	if _, known := read.find(t.Context(), "openai", "gpt-5-mini"); !known {
		t.Error("the defaults are gone")
	}
}

func TestDefaultModelsHavePrices(t *testing.T) {
	read, err := newPrices("", slog.Default())
	if err != nil {
		t.Fatal(err)
	}

	for provider, model := range map[string]string{
		"openai": openAIModel, "anthropic": anthropicModel, "simulated": "simulated", "ollama": "llama3.2",
	} {
		if _, known := read.find(t.Context(), provider, model); !known {
			t.Errorf("%s has no price", model)
		}
	}
}
