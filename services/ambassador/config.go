package ambassador

import (
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/telemetry"
)

// The kinds of providers.
const (
	// KindOpenAI is any server that speaks OpenAI's chat completions: OpenAI, vLLM, Ollama, another ambassador.
	KindOpenAI = "openai"
	// KindAnthropic is a server that speaks Anthropic's Messages API.
	KindAnthropic = "anthropic"
	// KindSimulated is Serin's own simulated provider; its answers are marked as simulated.
	KindSimulated = "simulated"
)

// AnyModel is the key of ProviderConfig.Models that stands for every model that is not listed.
const AnyModel = "*"

// DefaultModel is the model name that stands for the provider's default model.
const DefaultModel = "default"

// Config configures the ambassador. Zero values mean the defaults.
type Config struct { //nolint:recvcheck // withDefaults works on a copy
	// Providers are the upstreams; at least one.
	Providers []ProviderConfig
	// Primary is the name of the provider that is asked first. Without it, providers are drawn by weight.
	Primary string
	// Fallback is the name of the provider that is asked when the others can't answer.
	Fallback string
	// DefaultModel is the default model of providers that have none of their own.
	DefaultModel string

	// PricesFile names a YAML file of prices that win over the built-in ones; see prices.yaml. It is read again when it
	// changes.
	PricesFile string

	// Deadlines limit the parts of one upstream answer.
	Deadlines Deadlines
	// Retry says how often and when failures are tried again.
	Retry Retry
	// BreakAfter is how many tries in a row may fail by a provider's own trouble before it is left alone for a while, for
	// that model; default 10, negative means never.
	BreakAfter int
	// MaxBodyBytes is the largest request; default 8 MiB.
	MaxBodyBytes int64
	// MaxAnswerBytes is the largest answer that is not streamed, and the largest event of a stream; default 32 MiB.
	MaxAnswerBytes int64
	// HoldBytes is how much of a stream is held back while it has no content, so that another provider may still
	// answer; default 64 KiB. The first-token deadline bounds the time.
	HoldBytes int

	// Rand draws a number from [0, 1) for weights and jitter; default math/rand/v2. It is called concurrently.
	Rand func() float64
	// Telemetry gets logs and metrics; default: they are discarded.
	Telemetry *telemetry.Telemetry
}

// ProviderConfig is one upstream.
type ProviderConfig struct {
	// Name is what PRIMARY_PROVIDER, metrics and the header serin-provider call it.
	Name string
	// Kind is KindOpenAI (default), KindAnthropic or KindSimulated.
	Kind string
	// BaseURL ends before /chat/completions or /messages, such as https://api.openai.com/v1.
	BaseURL string
	// APIKeys are used in turn; one that is refused or limited makes way for the next.
	APIKeys []string
	// APIKeyFiles hold more keys, one a line. They are read again when they change.
	APIKeyFiles []string
	// Models maps the model that a client names to the provider's; AnyModel stands for all others. An empty map
	// passes every name on as it is; otherwise models that are not in it are not asked of this provider.
	Models map[string]string
	// DefaultModel is what the model "default" means here; if it is empty, the first model that the provider lists.
	DefaultModel string
	// Weight is the provider's share where there is no primary; default 1.
	Weight int
	// MaxConcurrent is how many requests may be upstream at once; default 256.
	MaxConcurrent int
	// MaxQueue is how many requests may wait for that; default 1024. More are refused with 429.
	MaxQueue int
}

// Deadlines limit the parts of one upstream answer. Each starts anew with each try, but for Total.
type Deadlines struct {
	// Connect is for TCP and TLS; default 5 s.
	Connect time.Duration
	// Headers is until the upstream's response headers, for streams; default 60 s.
	Headers time.Duration
	// FirstToken is until a stream's first content, counted from its headers; default 90 s.
	FirstToken time.Duration
	// Idle is the longest gap between two chunks of a stream; default 60 s.
	Idle time.Duration
	// Total is for the whole request with its queueing, retries and fallbacks; default 10 min.
	Total time.Duration
}

// Retry says how often and when failures are tried again.
type Retry struct {
	// Max is how often one provider and model is tried again; default 2, negative means never.
	Max int
	// Base is the first wait, which doubles with each further try; default 200 ms. Half of it is jitter.
	Base time.Duration
	// MaxWait is the longest wait, also for a Retry-After; beyond it the request fails over, or fails; default 10 s.
	MaxWait time.Duration
	// Ratio is the share of requests that may be retries and fallbacks, beside what a quiet service saves up; default 0.2.
	Ratio float64
}

// UseSimulator gives simulated providers without a base URL this one, and reports whether there are simulated
// providers at all.
func (c *Config) UseSimulator(baseURL string) bool {
	found := false

	for i := range c.Providers {
		if c.Providers[i].Kind != KindSimulated {
			continue
		}

		found = true

		if c.Providers[i].BaseURL == "" {
			c.Providers[i].BaseURL = baseURL
		}
	}

	return found
}

func (c Config) withDefaults() Config {
	c.Deadlines = c.Deadlines.withDefaults()
	c.Retry = c.Retry.withDefaults()
	if c.BreakAfter == 0 {
		c.BreakAfter = 10
	}

	c.MaxBodyBytes = positive(c.MaxBodyBytes, 8<<20)
	c.MaxAnswerBytes = positive(c.MaxAnswerBytes, 32<<20)
	c.HoldBytes = positive(c.HoldBytes, 64<<10)

	if c.Rand == nil {
		c.Rand = rand.Float64
	}

	if c.Telemetry == nil {
		c.Telemetry = telemetry.Discard()
	}

	c.Providers = slices.Clone(c.Providers)
	for i := range c.Providers {
		c.Providers[i] = c.Providers[i].withDefaults(c.DefaultModel)
	}

	return c
}

func (p ProviderConfig) withDefaults(model string) ProviderConfig {
	if p.Kind == "" {
		p.Kind = KindOpenAI
	}

	if p.DefaultModel == "" {
		p.DefaultModel = model
	}

	p.BaseURL = strings.TrimRight(p.BaseURL, "/")
	p.Weight = positive(p.Weight, 1)
	p.MaxConcurrent = positive(p.MaxConcurrent, 256)
	p.MaxQueue = positive(p.MaxQueue, 1024)

	return p
}

func (d Deadlines) withDefaults() Deadlines {
	d.Connect = positive(d.Connect, 5*time.Second)
	d.Headers = positive(d.Headers, time.Minute)
	d.FirstToken = positive(d.FirstToken, 90*time.Second)
	d.Idle = positive(d.Idle, time.Minute)
	d.Total = positive(d.Total, 10*time.Minute)

	return d
}

func (r Retry) withDefaults() Retry {
	if r.Max == 0 {
		r.Max = 2
	}

	r.Max = max(r.Max, 0)
	r.Base = positive(r.Base, 200*time.Millisecond)
	r.MaxWait = positive(r.MaxWait, 10*time.Second)
	r.Ratio = positive(r.Ratio, 0.2)

	return r
}

func positive[T int | int64 | float64 | time.Duration](value, otherwise T) T {
	if value > 0 {
		return value
	}

	return otherwise
}

// validate returns a *fault.Error that names every bad field, or nil.
func (c Config) validate() error {
	bad := []fault.Violation{}
	names := map[string]bool{}

	if len(c.Providers) == 0 {
		bad = append(bad, fault.Violation{Field: "providers", Message: "is empty; name at least one provider"})
	}

	for _, provider := range c.Providers {
		bad = append(bad, provider.validate()...)

		if names[provider.Name] {
			bad = append(bad, fault.Violation{Field: "providers." + provider.Name, Message: "is named twice"})
		}

		names[provider.Name] = true
	}

	for field, name := range map[string]string{"primary": c.Primary, "fallback": c.Fallback} {
		if name != "" && !names[name] {
			bad = append(bad, fault.Violation{Field: field, Message: "names " + name + ", which is not a provider"})
		}
	}

	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}

	return nil
}

func (p ProviderConfig) validate() []fault.Violation {
	field := "providers." + p.Name
	bad := []fault.Violation{}

	if p.Name == "" {
		bad = append(bad, fault.Violation{Field: "providers.name", Message: "is empty"})
	}

	if !slices.Contains([]string{KindOpenAI, KindAnthropic, KindSimulated}, p.Kind) {
		bad = append(bad, fault.Violation{
			Field: field + ".kind", Message: "is " + p.Kind + "; openai, anthropic and simulated are allowed",
		})
	}

	base, err := url.Parse(p.BaseURL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		bad = append(bad, fault.Violation{
			Field: field + ".baseURL", Message: "is \"" + p.BaseURL + "\"; a URL such as http://127.0.0.1:8000/v1 is needed",
		})
	}

	return bad
}
