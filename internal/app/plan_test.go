package app

import (
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	corev1 "k8s.io/api/core/v1"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/telemetry"
)

func TestOnlyTheAmbassadorSeesKeys(t *testing.T) {
	secrets := []string{
		"OPENAI_API_KEY=k", "GOOGLE_API_KEY=k", "SERIN_X_API_KEY=k", "OPENTELEMETRY_KEY=k",
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

	database := []string{"SERIN_POSTGRES_URL=postgres://serin:secret@db/serin", "PGPASSWORD=secret"}
	platform.env.Environ = append(platform.env.Environ, database...)

	if got := platform.environment("ambassador"); slices.ContainsFunc(got, func(one string) bool { return strings.Contains(one, "secret") }) {
		t.Errorf("the ambassador gets %v: whoever talks to providers needs no way into the database", got)
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

func TestEveryWorkloadSeesTheVariablesOfTelemetry(t *testing.T) {
	for name, test := range map[string]struct{ environ, want []string }{
		"none": {[]string{"OPENAI_API_KEY=secret"}, nil},
		"all but the name, which becomes the namespace of all": {
			[]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318", "OTEL_SERVICE_NAME=help desk",
				"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test", "OTEL_TRACES_SAMPLER=always_on",
			},
			[]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318", "OTEL_TRACES_SAMPLER=always_on",
				"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test,service.namespace=help%20desk",
			},
		},
		"a namespace of one's own stays": {
			[]string{"OTEL_SERVICE_NAME=desk", "OTEL_RESOURCE_ATTRIBUTES=service.namespace=eu"},
			[]string{"OTEL_RESOURCE_ATTRIBUTES=service.namespace=eu"},
		},
	} {
		for _, room := range []string{"agent", "ambassador", "tools"} {
			p := &Platform{env: &Env{Environ: test.environ}}

			got := slices.DeleteFunc(p.environment(room), func(variable string) bool { return !strings.HasPrefix(variable, "OTEL_") })
			if !slices.Equal(got, test.want) {
				t.Errorf("%s: %s sees %q, want %q", name, room, got, test.want)
			}
		}
	}
}

func TestPodsSeeTheVariablesOfTelemetry(t *testing.T) {
	maker := &podMaker{
		settings: &clusterSettings{
			Image: "serin:test", TelemetrySecret: "otel",
			TelemetryEnv: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SERVICE_NAME": "desk"},
		},
		dataPlane: dataPlaneSettings{Mode: planeSidecar},
	}

	template, err := maker.Template(agentspec.Agent{Metadata: agentspec.Metadata{Name: "triage"}}, strings.Repeat("a", 64))
	if err != nil {
		t.Fatal(err)
	}

	// What loads the agent ends first. The ambassador is there before the agent, stays, and ends after it.
	inits := template.Spec.InitContainers
	if len(inits) != 2 || inits[0].Name != "load-config" || inits[0].RestartPolicy != nil ||
		inits[1].Name != "ambassador" || inits[1].RestartPolicy == nil || *inits[1].RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Errorf("init containers: %v", inits)
	}

	for _, container := range append(inits[1:], template.Spec.Containers...) {
		seen := map[string]string{}
		for _, variable := range container.Env {
			seen[variable.Name] = variable.Value
		}

		if seen["OTEL_TRACES_EXPORTER"] != "otlp" || seen["OTEL_RESOURCE_ATTRIBUTES"] != "service.namespace=desk" || seen["OTEL_SERVICE_NAME"] != "" {
			t.Errorf("%s sees %v", container.Name, seen)
		}

		if len(container.EnvFrom) == 0 || container.EnvFrom[0].SecretRef.Name != "otel" {
			t.Errorf("%s does not see the secret: %v", container.Name, container.EnvFrom)
		}
	}
}

func TestOriginTellsTheProcess(t *testing.T) {
	config := workloadConfig{Room: "ambassador", Name: "triage", pod: podEnvironment{name: "triage-1", namespace: "desk"}}
	if config.service() != rpc.Ambassador {
		t.Errorf("an agent's own ambassador is %q", config.service())
	}

	got := attribute.NewSet(config.origin()...)
	want := attribute.NewSet(telemetry.Agent.String("triage"), telemetry.PodName.String("triage-1"), telemetry.PodNamespace.String("desk"))

	if !got.Equals(&want) {
		t.Errorf("its origin is %v", got.ToSlice())
	}
}
