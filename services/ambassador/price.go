package ambassador

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

//go:embed prices.yaml
var defaultPrices []byte

// price is what a model costs, in US dollars per million tokens. What is not given costs as much as what it is a kind of:
// cached input and cache writes as input.
type price struct {
	Input        *float64 `yaml:"input"`
	CachedInput  *float64 `yaml:"cachedInput"`
	CacheWrite   *float64 `yaml:"cacheWrite"`
	CacheWrite1h *float64 `yaml:"cacheWrite1h"` //nolint:tagliatelle // as YAML here is written
	Output       *float64 `yaml:"output"`
	// Above has the prices of whole requests with longer prompts.
	Above *longPrice `yaml:"above"`
}

// longPrice applies to requests whose prompt has more tokens than Prompt.
type longPrice struct {
	price `yaml:",inline"`

	Prompt int64 `yaml:"prompt"`
}

// priceTable has prices by MODEL, PROVIDER/MODEL or PROVIDER/*.
type priceTable map[string]price

// parsePrices reads a price file. Errors name the line or the entry.
func parsePrices(data []byte) (priceTable, error) {
	var file struct {
		Prices priceTable `yaml:"prices"`
	}

	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)

	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, err //nolint:wrapcheck // the caller says which file it is
	}

	for _, key := range slices.Sorted(maps.Keys(file.Prices)) {
		if err := file.Prices[key].validate(); err != nil {
			return nil, fmt.Errorf("prices.%s.%w", key, err)
		}
	}

	return file.Prices, nil
}

func (p price) validate() error {
	if p.Input == nil || p.Output == nil {
		return errors.New("input and output: both are needed; 0 if they cost nothing")
	}

	for name, value := range map[string]*float64{
		"input": p.Input, "cachedInput": p.CachedInput, "cacheWrite": p.CacheWrite, "cacheWrite1h": p.CacheWrite1h,
		"output": p.Output,
	} {
		if value != nil && !(*value >= 0 && *value <= maxPrice) {
			return fmt.Errorf("%s: is %v; a number from 0 to %v is needed", name, *value, maxPrice)
		}
	}

	switch {
	case p.Above == nil:
		return nil
	case p.Above.Prompt < 1 || p.Above.Above != nil:
		return fmt.Errorf("above.prompt: is %d; a number of tokens of at least 1 is needed, and no above within", p.Above.Prompt)
	default:
		return p.Above.validate()
	}
}

// maxPrice is more than anything costs, in US dollars per million tokens: what is beyond it is a mistake.
const maxPrice = 1e6

// dated matches the end of a snapshot's name: gpt-5-mini-2025-08-07, claude-haiku-4-5-20251001.
var dated = regexp.MustCompile(`-(\d{4}-\d{2}-\d{2}|\d{8})$`)

// find looks a model up: the provider's own entry first.
func (t priceTable) find(provider, model string) (price, bool) {
	base := dated.ReplaceAllString(model, "")

	for _, key := range []string{provider + "/" + model, model, provider + "/" + base, base, provider + "/*"} {
		if found, known := t[key]; known {
			return found, true
		}
	}

	return price{}, false
}

// cost is what an answer costs, in US dollars.
func (p price) cost(used usage) float64 {
	if p.Above != nil && used.prompt > p.Above.Prompt {
		p = p.Above.price
	}

	longer := min(used.longer, used.written)
	fresh := max(0, used.prompt-used.cached-used.written)

	return (p.of(fresh, p.Input) + p.of(used.cached, p.CachedInput) + p.of(used.written-longer, p.CacheWrite) +
		p.of(longer, p.CacheWrite1h, p.CacheWrite) + float64(used.completion)**p.Output) / 1e6
}

// of is what tokens cost at the first price that is given; else at the input's.
func (p price) of(tokens int64, prices ...*float64) float64 {
	for _, each := range prices {
		if each != nil {
			return float64(tokens) * *each
		}
	}

	return float64(tokens) * *p.Input
}

// dearest is the most that a token of the prompt and one of the answer may cost, in US dollars per million.
func (p price) dearest() (input, output float64) {
	for _, each := range []*float64{p.Input, p.CacheWrite, p.CacheWrite1h, p.CachedInput} {
		if each != nil {
			input = math.Max(input, *each)
		}
	}

	output = *p.Output

	if p.Above != nil {
		above, longOutput := p.Above.dearest()
		input, output = math.Max(input, above), math.Max(output, longOutput)
	}

	return input, output
}
