package ambassador_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serinhq/serin/services/ambassador"
)

func TestFromEnv(t *testing.T) {
	none := []string{}

	for name, test := range map[string]struct {
		env  map[string]string
		want ambassador.Config
	}{
		"nothing": {nil, ambassador.Config{Primary: "simulated", Providers: []ambassador.ProviderConfig{
			{Name: "simulated", Kind: "simulated", APIKeys: none, APIKeyFiles: none},
		}}},
		"key": {map[string]string{"OPENAI_API_KEY": "a, b"}, ambassador.Config{Primary: "openai", Providers: []ambassador.ProviderConfig{
			{Name: "openai", Kind: "openai", BaseURL: "https://api.openai.com/v1", APIKeys: []string{"a", "b"}, APIKeyFiles: none, DefaultModel: "gpt-5-mini"},
		}}},
		"anthropic": {map[string]string{"ANTHROPIC_API_KEY": "a", "ANTHROPIC_MODEL": "m"}, ambassador.Config{
			Primary: "anthropic", Providers: []ambassador.ProviderConfig{{
				Name: "anthropic", Kind: "anthropic", BaseURL: "https://api.anthropic.com/v1", APIKeys: []string{"a"},
				APIKeyFiles: none, DefaultModel: "m",
			}},
		}},
		"an Anthropic base URL without a version, beside a key for OpenAI": {
			map[string]string{"ANTHROPIC_API_KEY_FILE": "/k", "ANTHROPIC_BASE_URL": "http://127.0.0.1:1/", "OPENAI_API_KEY": "b"},
			ambassador.Config{Primary: "openai", Providers: []ambassador.ProviderConfig{
				{
					Name: "anthropic", Kind: "anthropic", BaseURL: "http://127.0.0.1:1/v1", APIKeys: none,
					APIKeyFiles: []string{"/k"}, DefaultModel: "claude-haiku-4-5",
				},
				{
					Name: "openai", Kind: "openai", BaseURL: "https://api.openai.com/v1", APIKeys: []string{"b"},
					APIKeyFiles: none, DefaultModel: "gpt-5-mini",
				},
			}},
		},
		"another that speaks Anthropic's API": {
			map[string]string{"PRIMARY_PROVIDER": "eu", "EU_BASE_URL": "http://eu/v1", "EU_KIND": "anthropic"},
			ambassador.Config{Primary: "eu", Providers: []ambassador.ProviderConfig{
				{Name: "eu", Kind: "anthropic", BaseURL: "http://eu/v1", APIKeys: none, APIKeyFiles: none},
			}},
		},
		"ollama": {map[string]string{"OLLAMA_HOST": "0.0.0.0", "OLLAMA_MODEL": "llama3.2"}, ambassador.Config{
			Primary: "ollama", Providers: []ambassador.ProviderConfig{
				{Name: "ollama", Kind: "openai", BaseURL: "http://127.0.0.1:11434/v1", APIKeys: none, APIKeyFiles: none, DefaultModel: "llama3.2"},
			},
		}},
		"primary and fallback": {
			map[string]string{
				"PRIMARY_PROVIDER": "vllm-eu", "FALLBACK_PROVIDER": "openai", "VLLM_EU_BASE_URL": "http://vllm:8000/v1",
				"OPENAI_API_KEY_FILE": "/keys/openai", "DEFAULT_MODEL": "m",
			},
			ambassador.Config{
				Primary: "vllm-eu", Fallback: "openai", DefaultModel: "m", Providers: []ambassador.ProviderConfig{
					{Name: "openai", Kind: "openai", BaseURL: "https://api.openai.com/v1", APIKeys: none, APIKeyFiles: []string{"/keys/openai"}, DefaultModel: "m"},
					{Name: "vllm-eu", Kind: "openai", BaseURL: "http://vllm:8000/v1", APIKeys: none, APIKeyFiles: none},
				},
			},
		},
		"weights": {
			map[string]string{
				"PROVIDER_WEIGHTS": "openai=3,vllm=1", "VLLM_BASE_URL": "http://vllm:8000/v1", "OPENAI_API_KEY": "a",
				"OPENAI_BASE_URL": "https://proxy.example/v1", "VLLM_MAX_CONCURRENT": "4",
			},
			ambassador.Config{Providers: []ambassador.ProviderConfig{
				{Name: "openai", Kind: "openai", BaseURL: "https://proxy.example/v1", APIKeys: []string{"a"}, APIKeyFiles: none, Weight: 3},
				{Name: "vllm", Kind: "openai", BaseURL: "http://vllm:8000/v1", APIKeys: none, APIKeyFiles: none, Weight: 1, MaxConcurrent: 4},
			}},
		},
	} {
		got, err := ambassador.FromEnv(func(name string) string { return test.env[name] })
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}

		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestFromEnvErrors(t *testing.T) {
	for want, env := range map[string]map[string]string{
		"VLLM_BASE_URL: is empty":                {"PRIMARY_PROVIDER": "vllm"},
		"OPENAI_API_KEY: is empty":               {"PRIMARY_PROVIDER": "openai"},
		"ANTHROPIC_API_KEY: is empty":            {"FALLBACK_PROVIDER": "anthropic"},
		`PROVIDER_WEIGHTS: has "openai"`:         {"PROVIDER_WEIGHTS": "openai"},
		`SIMULATED_MAX_CONCURRENT: is "0"`:       {"SIMULATED_MAX_CONCURRENT": "0"},
		`PROVIDER_WEIGHTS: has "openai=0"`:       {"PROVIDER_WEIGHTS": "openai=0"},
		"PROVIDER_WEIGHTS: is set together with": {"PROVIDER_WEIGHTS": "simulated=1", "PRIMARY_PROVIDER": "simulated"},
	} {
		_, err := ambassador.FromEnv(func(name string) string { return env[name] })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v", env, err)
		}
	}
}

func TestOllamaHost(t *testing.T) {
	for host, want := range map[string]string{
		"localhost": "http://localhost:11434/v1", "http://gpu:8080/": "http://gpu:8080/v1", ":1234": "http://127.0.0.1:1234/v1",
		"https://ollama.example": "https://ollama.example:11434/v1", "[::1]:11434": "http://[::1]:11434/v1", "[::1]": "http://[::1]:11434/v1",
	} {
		got, err := ambassador.FromEnv(func(name string) string { return map[string]string{"OLLAMA_HOST": host}[name] })
		if err != nil || got.Providers[0].BaseURL != want {
			t.Errorf("%s: got %v, %v", host, got.Providers, err)
		}
	}
}
