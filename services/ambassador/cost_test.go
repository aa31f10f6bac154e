package ambassador_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/tidwall/gjson"

	"github.com/serinhq/serin/services/ambassador"
)

// priced gives the configuration a price file.
func priced(t *testing.T, cfg ambassador.Config, content string) ambassador.Config {
	t.Helper()

	cfg.PricesFile = filepath.Join(t.TempDir(), "prices.yaml")
	if err := os.WriteFile(cfg.PricesFile, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}

	return cfg
}

// A prompt of 16 with 4 from the cache, and 40 of an answer.
const (
	onePrice = "prices: {one-model: {input: 10, cachedInput: 1, output: 50}}"
	oneCost  = "0.002124"
)

func TestCostIsTold(t *testing.T) {
	for kind, provider := range map[string]ambassador.ProviderConfig{
		"openai": provider(t, serves).config("one"), "anthropic": provider(t, speaksMessages).anthropic("one"),
	} {
		rig := start(t, priced(t, only(provider), onePrice))

		var response *http.Response

		completion, err := rig.client.Chat.Completions.New(t.Context(), hello(), option.WithResponseInto(&response))
		if err != nil {
			t.Fatal(err)
		}

		if kind == "anthropic" && (response.Header.Get("serin-cost-usd") != oneCost ||
			completion.JSON.ExtraFields["serin"].Raw() != `{"provider":"one","simulated":false,"cost_usd":`+oneCost+`}`) {
			t.Errorf("%s: got %v, %s", kind, response.Header, completion.RawJSON())
		}

		params := hello()
		params.StreamOptions.IncludeUsage = openai.Bool(true)
		stream, last := rig.client.Chat.Completions.NewStreaming(t.Context(), params), ""

		for stream.Next() {
			last = stream.Current().RawJSON()
		}

		if stream.Err() != nil || gjson.Get(last, "serin.cost_usd").Raw != oneCost {
			t.Errorf("%s: got %s, %v", kind, last, stream.Err())
		}
	}
}

func TestCostIsCounted(t *testing.T) {
	rig := start(t, priced(t, only(provider(t, serves).config("one")), onePrice))
	rig.raw(streamed) // the client does not ask for usage
	rig.wantMetric(`serin_llm_cost_usd_total{model="one-model",provider="one"} ` + oneCost)
}

// What has no price has no cost: 0 would say that it is free.
func TestUnknownCostIsNotTold(t *testing.T) {
	rig := start(t, only(provider(t, serves).config("one")))

	response, body, _ := rig.raw(notStreamed)
	if response.Header["Serin-Cost-Usd"] != nil || strings.Contains(body, "cost") || strings.Contains(rig.metrics(), "serin_llm_cost") {
		t.Errorf("got %v, %s", response.Header, body)
	}
}

func TestPricesDoor(t *testing.T) {
	cfg := with(provider(t, serves), provider(t, serves))
	cfg.Providers[0].Models = map[string]string{"default": "one-model", "big": "one-big"}
	rig := start(t, priced(t, cfg, `prices: {one-model: {input: 1, cacheWrite: 3, output: 5}, two/*: {input: 2, output: 9}}`))

	for query, want := range map[string]string{
		"":                         `{"object":"serin.prices","input":3,"output":9,"unknown":[]}`,
		"?model=default&model=big": `{"object":"serin.prices","input":3,"output":9,"unknown":["one/one-big"]}`,
	} {
		response, err := rig.http.Get(rig.server.URL + "/v1/prices" + query)
		if err != nil {
			t.Fatal(err)
		}

		body, _ := io.ReadAll(response.Body)
		if _ = response.Body.Close(); strings.TrimSpace(string(body)) != want {
			t.Errorf("%s: got %s", query, body)
		}
	}
}

func TestBadPriceFile(t *testing.T) {
	cfg := priced(t, only(provider(t, serves).config("one")), "prices: {m: {input: 1}}")
	if _, err := ambassador.New(cfg); err == nil || !strings.Contains(err.Error(), "prices.m.input and output: both are needed") {
		t.Errorf("got %v", err)
	}
}
