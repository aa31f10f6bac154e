package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serinhq/serin/internal/agentspec"
)

const (
	// pricesTTL is how long what the ambassador said about prices is kept.
	pricesTTL = 30 * time.Second
	// maxPricesBytes bounds its answer.
	maxPricesBytes = 64 << 10
)

// prices are the most that the agent's models may cost, in US dollars per million tokens: any of them may answer.
type prices struct {
	input, output float64
	// missing says whose price nobody knows, so that no cost can be reserved; empty if all are known.
	missing string
}

// reserve is the most that a call may cost, in millionths of a US dollar.
func (p prices) reserve(input, output int64) int64 {
	return micros((p.input*float64(input) + p.output*float64(output)) / 1e6)
}

// micros are US dollars as millionths, rounded up: budgets err on the safe side.
func micros(dollars float64) int64 {
	switch amount := math.Ceil(dollars*1e6 - 1e-6); { // a float's own error is not rounded up
	case !(amount > 0):
		return 0
	case amount >= math.MaxInt64/4:
		return math.MaxInt64 / 4
	default:
		return int64(amount)
	}
}

// priceCache asks the ambassador for prices now and then.
type priceCache struct {
	client *http.Client
	url    string

	mu    sync.Mutex
	known prices
	until time.Time
}

func newPriceCache(config Config, base *url.URL) *priceCache {
	models := append([]string{config.Agent.Spec.Model.Name}, config.Agent.Spec.Model.Fallbacks...)
	for _, guard := range slices.Concat(config.Agent.Spec.Guardrails.Input, config.Agent.Spec.Guardrails.Output) {
		if len(guard.Topics) > 0 {
			models = append(models, guard.Checks().Model)
		}
	}

	query := url.Values{"model": slices.DeleteFunc(models, func(name string) bool { return name == "" })}

	return &priceCache{
		client: config.LLM.HTTPClient, url: base.JoinPath("prices").String() + "?" + query.Encode(),
	}
}

// get returns the prices. That nobody knows them is no error: it stands in them.
func (c *priceCache) get(ctx context.Context) (prices, error) {
	c.mu.Lock()
	known, until := c.known, c.until
	c.mu.Unlock()

	if time.Now().Before(until) {
		return known, nil
	}

	known, err := c.ask(ctx)
	if err != nil || known.missing != "" { // what may be mended is asked again at once
		return known, err
	}

	c.mu.Lock()
	defer c.mu.Unlock()

	c.known, c.until = known, time.Now().Add(pricesTTL)

	return known, nil
}

func (c *priceCache) ask(ctx context.Context) (prices, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, http.NoBody)
	if err != nil {
		return prices{}, fmt.Errorf("ask for prices: %w", err)
	}

	response, err := c.client.Do(request)
	if err != nil {
		return prices{}, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written to it

	var said struct {
		Input   *float64 `json:"input"`
		Output  *float64 `json:"output"`
		Unknown []string `json:"unknown"`
	}

	body := http.MaxBytesReader(nil, response.Body, maxPricesBytes)
	if response.StatusCode != http.StatusOK || json.NewDecoder(body).Decode(&said) != nil ||
		said.Input == nil || said.Output == nil {
		return prices{missing: "any model (" + response.Status + ")"}, nil
	}

	return prices{input: *said.Input, output: *said.Output, missing: strings.Join(said.Unknown, ", ")}, nil
}

// limitsCost reports whether a budget bounds what the next call may cost.
func limitsCost(s *state, r *rules) bool {
	return s.turn.budget.GetCostMicros() > 0 || r.costMicros > 0
}

// refreshPrices brings the rules' prices up to date where a budget needs them.
func (x *execution) refreshPrices() error {
	if !limitsCost(x.state, &x.rules) {
		return nil
	}

	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		known, err := x.service.prices.get(x.work)
		if err == nil {
			x.rules.prices = known

			return nil
		}

		if x.work.Err() != nil {
			return x.cause()
		}

		x.logger.WarnContext(x.work, "prices can't be had", "error", err)
		pause(x.work, wait)
	}
}

// costLimit is an agent's own cost budget in millionths of a US dollar; 0 is none.
func costLimit(budgets agentspec.Budgets) (int64, error) {
	limit, err := budgets.CostMicros()
	if err != nil {
		return 0, fmt.Errorf("spec.budgets.costUSD: %w", err)
	}

	return limit, nil
}
