package app

import (
	"slices"
	"testing"

	"github.com/serinhq/serin/internal/agentspec"
)

func TestOnlyTheAmbassadorSeesKeys(t *testing.T) {
	secrets := []string{
		"OPENAI_API_KEY=k", "GOOGLE_API_KEY=k", "SERIN_X_API_KEY=k", "OTEL_EXPORTER_OTLP_HEADERS=authorization=k",
	}
	platform := &Platform{env: &Env{Environ: append([]string{"PATH=/bin", "GOMAXPROCS=2"}, secrets...)}}

	for _, room := range []string{"agent", "context", "gateway", "tools"} {
		if got := platform.environment(room); !slices.Equal(got, []string{"PATH=/bin", "GOMAXPROCS=2"}) {
			t.Errorf("%s gets %v", room, got)
		}
	}

	platform.fleet = &fleet{platform: platform, declared: crew{servers: []agentspec.MCPServer{{Spec: agentspec.MCPServerSpec{
		URL: "https://x.example", Auth: &agentspec.Auth{BearerEnv: "SEARCH_TOKEN"},
	}}}}}
	platform.env.Environ = append(platform.env.Environ, "SEARCH_TOKEN=s", "SEARCH_TOKEN_OLD=o")

	if got := platform.secretsOf("tools")(); !slices.Equal(got, []string{"SEARCH_TOKEN=s"}) {
		t.Errorf("tools is given %v beside its environment, and needs what its servers name", got)
	}

	if platform.secretsOf("agent") != nil {
		t.Error("agents are given tool servers' secrets")
	}

	if got := platform.environment("ambassador"); !slices.Contains(got, "GOOGLE_API_KEY=k") {
		t.Errorf("the ambassador gets %v, without its keys", got)
	}
}

func TestAddressesForClients(t *testing.T) {
	for address, want := range map[string]string{
		"0.0.0.0:8080": "127.0.0.1:8080", "[::]:8080": "127.0.0.1:8080", "127.0.0.1:1": "127.0.0.1:1", "10.1.2.3:80": "10.1.2.3:80",
	} {
		if got := reachable(address); got != want {
			t.Errorf("clients of %s are told %s, want %s", address, got, want)
		}
	}

	if names := publicNames("agents.example.com:9000"); !slices.Contains(names, "agents.example.com") {
		t.Errorf("the certificate is for %v", names)
	}
}
