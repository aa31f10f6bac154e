package app

import (
	"slices"
	"strings"
	"testing"
)

// TestPodsReachWhatTheyAreTold to: models, collectors of telemetry, and the mesh's control plane.
func TestPodsReachWhatTheyAreTold(t *testing.T) {
	settings := &clusterSettings{
		Image:        "serin:test",
		LLMEnv:       map[string]string{"PRIMARY_PROVIDER": "eu", "EU_BASE_URL": "http://vllm.models.svc:8000/v1", "OLLAMA_HOST": "ollama"},
		TelemetryEnv: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SERVICE_NAME": "desk"},
		EgressPorts:  []int32{9999},
	}
	if err := settings.check(); err != nil {
		t.Fatal(err)
	}

	made := podNetwork(settings, &dataPlaneSettings{Mode: planeProxyless, Discovery: "istiod.mesh.svc:15012"})

	if want := []int32{443, 4318, 8000, 9999, ollamaPort}; !slices.Equal(slices.Sorted(slices.Values(made.Outside)), want) {
		t.Errorf("outside: %v, want %v", made.Outside, want)
	}

	if made.ControlPlaneNamespace != "mesh" || !slices.Equal(made.ControlPlane, []int32{15012}) {
		t.Errorf("control plane: %s %v", made.ControlPlaneNamespace, made.ControlPlane)
	}

	for discovery, want := range map[string]string{
		"istiod.istio-system.svc.cluster.local:15012": "istio-system", "10.1.2.3:15012": "", "istiod.example.com:15012": "",
	} {
		if got, _ := controlPlane(&dataPlaneSettings{Mode: planeProxyless, Discovery: discovery}); got != want {
			t.Errorf("%s is in %q, want %q", discovery, got, want)
		}
	}

	for value, want := range map[string]int32{"http://ollama": ollamaPort, "https://ollama:8443/": 8443, "ollama:1234": 1234, ":4321": 4321, "ollama": ollamaPort} {
		if got, ok := outsidePort("OLLAMA_HOST", value); !ok || got != want {
			t.Errorf("OLLAMA_HOST=%s leads to port %d, want %d", value, got, want)
		}
	}

	settings.NetworkPolicies = new(false)
	if podNetwork(settings, &dataPlaneSettings{Mode: planeSidecar}) != nil {
		t.Error("there are policies though nobody wants any")
	}
}

func TestWrongEgressPortsAreRefused(t *testing.T) {
	for want, settings := range map[string]*clusterSettings{
		"image":                        {},
		"egressPorts[1] 70000":         {Image: "serin:test", EgressPorts: []int32{8000, 70000}},
		"networkPolicies must be true": {Image: "serin:test", EgressPorts: []int32{8000}, NetworkPolicies: new(false)},
	} {
		if err := settings.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", settings, err, want)
		}
	}
}
