package ambassador

import (
	"cmp"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/serinhq/serin/internal/fault"
)

const (
	openAIBaseURL = "https://api.openai.com/v1"
	openAIModel   = "gpt-5-mini"
	ollamaPort    = "11434"

	anthropicBaseURL = "https://api.anthropic.com/v1"
	anthropicModel   = "claude-haiku-4-5"

	providerOpenAI    = "openai"
	providerAnthropic = "anthropic"
)

// FromEnv reads the configuration from the environment. PRIMARY_PROVIDER, FALLBACK_PROVIDER and PROVIDER_WEIGHTS
// ("openai=3,vllm=1") name providers; of each provider NAME it reads NAME_BASE_URL, NAME_API_KEY (several with
// commas), NAME_API_KEY_FILE, NAME_MODEL and NAME_KIND (openai or anthropic: the API that it speaks). openai is known when
// OPENAI_API_KEY or OPENAI_API_KEY_FILE is set, anthropic likewise, ollama when OLLAMA_HOST is; with none of all that the
// simulated provider is used. LLM_PRICES_FILE is Config.PricesFile. Errors name the variables.
func FromEnv(getenv func(string) string) (Config, error) {
	env := environment{getenv: getenv}
	cfg := Config{
		Primary:      getenv("PRIMARY_PROVIDER"),
		Fallback:     getenv("FALLBACK_PROVIDER"),
		DefaultModel: getenv("DEFAULT_MODEL"),
		PricesFile:   getenv("LLM_PRICES_FILE"),
	}

	weights := env.weights()
	for _, name := range env.providers(cfg.Primary, cfg.Fallback, weights) {
		provider := env.provider(name)
		provider.Weight = weights[name]
		cfg.Providers = append(cfg.Providers, provider)
	}

	if cfg.Primary == "" && len(weights) == 0 {
		cfg.Primary = env.firstChoice(cfg)
	}

	if len(weights) > 0 && cfg.Primary != "" {
		env.bad("PROVIDER_WEIGHTS", "is set together with PRIMARY_PROVIDER; weights only count without a primary")
	}

	if len(env.violations) > 0 {
		return Config{}, fault.Invalid(env.violations...)
	}

	return cfg, nil
}

type environment struct {
	getenv     func(string) string
	violations []fault.Violation
}

func (e *environment) bad(variable, message string) {
	e.violations = append(e.violations, fault.Violation{Field: variable, Message: message})
}

// variable is the name of a provider's setting: vllm-eu, BASE_URL -> VLLM_EU_BASE_URL.
func variable(provider, setting string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(provider)) + "_" + setting
}

// weights reads "openai=3,vllm=1".
func (e *environment) weights() map[string]int {
	weights := map[string]int{}

	for _, part := range list(e.getenv("PROVIDER_WEIGHTS")) {
		name, text, found := strings.Cut(part, "=")
		weight, err := strconv.Atoi(strings.TrimSpace(text))

		if !found || err != nil || weight < 1 || strings.TrimSpace(name) == "" {
			e.bad("PROVIDER_WEIGHTS", "has \""+part+"\"; a list such as openai=3,vllm=1 with weights of at least 1 is needed")

			continue
		}

		weights[strings.TrimSpace(name)] = weight
	}

	return weights
}

// providers lists whatever is named or has its own variables, each once, in a stable order.
func (e *environment) providers(primary, fallback string, weights map[string]int) []string {
	names := []string{}

	for _, name := range []string{primary, fallback} {
		if name != "" {
			names = append(names, name)
		}
	}

	for name := range weights {
		names = append(names, name)
	}

	for _, name := range []string{providerOpenAI, providerAnthropic} {
		if len(weights) == 0 && e.getenv(variable(name, "API_KEY"))+e.getenv(variable(name, "API_KEY_FILE")) != "" {
			names = append(names, name)
		}
	}

	if len(weights) == 0 && e.getenv("OLLAMA_HOST") != "" {
		names = append(names, "ollama")
	}

	if len(names) == 0 {
		names = append(names, KindSimulated)
	}

	slices.Sort(names)

	return slices.Compact(names)
}

// firstChoice is the primary when nobody chose one: a key beats a local server, and both beat the simulation. Of two keys
// the first in this order is used; PRIMARY_PROVIDER says otherwise.
func (e *environment) firstChoice(cfg Config) string {
	for _, name := range []string{providerOpenAI, providerAnthropic, "ollama", KindSimulated} {
		known := slices.ContainsFunc(cfg.Providers, func(p ProviderConfig) bool { return p.Name == name })
		if known && name != cfg.Fallback {
			return name
		}
	}

	return ""
}

func (e *environment) provider(name string) ProviderConfig {
	provider := ProviderConfig{
		Name:         name,
		Kind:         cmp.Or(e.getenv(variable(name, "KIND")), KindOpenAI),
		BaseURL:      e.getenv(variable(name, "BASE_URL")),
		APIKeys:      list(e.getenv(variable(name, "API_KEY"))),
		APIKeyFiles:  list(e.getenv(variable(name, "API_KEY_FILE"))),
		DefaultModel: e.getenv(variable(name, "MODEL")),
	}
	provider.MaxConcurrent = e.atLeastOne(variable(name, "MAX_CONCURRENT"))

	switch name {
	case KindSimulated:
		provider.Kind = KindSimulated
	case providerAnthropic:
		e.anthropic(&provider)
	case providerOpenAI:
		e.openAI(&provider)
	case "ollama":
		provider.BaseURL = cmp.Or(provider.BaseURL, ollamaURL(e.getenv("OLLAMA_HOST")))
	default:
		if provider.BaseURL == "" {
			e.bad(variable(name, "BASE_URL"), "is empty; the provider "+name+" needs a URL such as http://127.0.0.1:8000/v1")
		}
	}

	return provider
}

func (e *environment) openAI(provider *ProviderConfig) {
	if provider.BaseURL == "" || provider.BaseURL == openAIBaseURL {
		provider.BaseURL = openAIBaseURL
		provider.DefaultModel = cmp.Or(provider.DefaultModel, e.getenv("DEFAULT_MODEL"), openAIModel)

		if len(provider.APIKeys)+len(provider.APIKeyFiles) == 0 {
			e.bad("OPENAI_API_KEY", "is empty, and so is OPENAI_API_KEY_FILE; the provider openai needs one of them")
		}
	}
}

// anthropic completes the provider. ANTHROPIC_BASE_URL is read as Anthropic's own clients do, too: without the version.
func (e *environment) anthropic(provider *ProviderConfig) {
	provider.Kind = KindAnthropic
	provider.BaseURL = strings.TrimRight(cmp.Or(provider.BaseURL, anthropicBaseURL), "/")
	provider.DefaultModel = cmp.Or(provider.DefaultModel, e.getenv("DEFAULT_MODEL"), anthropicModel)

	if base, err := url.Parse(provider.BaseURL); err == nil && base.Path == "" {
		provider.BaseURL += "/v1"
	}

	if provider.BaseURL == anthropicBaseURL && len(provider.APIKeys)+len(provider.APIKeyFiles) == 0 {
		e.bad("ANTHROPIC_API_KEY", "is empty, and so is ANTHROPIC_API_KEY_FILE; the provider anthropic needs one of them")
	}
}

// atLeastOne reads a whole number from 1; 0 if it is not set.
func (e *environment) atLeastOne(name string) int {
	text := e.getenv(name)
	if text == "" {
		return 0
	}

	number, err := strconv.Atoi(text)
	if err != nil || number < 1 {
		e.bad(name, "is \""+text+"\"; a whole number of at least 1 is needed")

		return 0
	}

	return number
}

// ollamaURL reads OLLAMA_HOST as ollama does: a URL, host:port, host or :port.
func ollamaURL(host string) string {
	scheme, rest, found := strings.Cut(host, "://")
	if !found {
		scheme, rest = "http", host
	}

	rest = strings.TrimSuffix(rest, "/")

	name, port, err := net.SplitHostPort(rest)
	if err != nil {
		name, port = rest, ollamaPort
	}

	// 0.0.0.0 is where a server listens, not where a client can go.
	if name == "" || name == "0.0.0.0" {
		name = "127.0.0.1"
	}

	return scheme + "://" + net.JoinHostPort(strings.Trim(name, "[]"), port) + "/v1"
}

func list(text string) []string {
	parts := []string{}

	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}

	return parts
}
