package app

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serinhq/serin/internal/rpc"
)

// podEnv is what Kubernetes sets.
func podEnv() map[string]string {
	return map[string]string{
		"POD_NAME": "billing-0123456789ab-x1", "POD_NAMESPACE": "shop", "POD_IP": "10.1.2.3",
		"GRPC_XDS_BOOTSTRAP": "/var/run/serin/xds.json", "LLM_ENDPOINT": "http://localhost:7070/v1/chat/completions",
	}
}

// agentPod is an agent's process in proxyless mode.
func agentPod() *workloadConfig {
	return &workloadConfig{
		Room: "agent", Name: "billing", Certificates: "/var/run/serin/certificates",
		Listen: map[string]string{"grpc": "$(POD_IP):9000", "http": ":8080"},
		Agent:  &agentSettings{File: "/etc/serin/agent.json", Revision: "sha256:x"},
		DataPlane: &dataPlaneSettings{
			Mode: planeProxyless, Discovery: "istiod.istio-system.svc:15012",
			TokenFile: "/var/run/secrets/serin/tokens/istio-token", RootFile: "/var/run/secrets/istio/root-cert.pem",
		},
	}
}

func ambassadorPod() *workloadConfig {
	return &workloadConfig{
		Room: "ambassador", Name: "billing", Listen: map[string]string{"llm": "127.0.0.1:7070", "http": ":8081"},
		DataPlane: &dataPlaneSettings{Mode: planeNone},
	}
}

func sidecarPod() *workloadConfig {
	config := agentPod()
	config.DataPlane = &dataPlaneSettings{Mode: planeSidecar}

	return config
}

func gatewayPod() *workloadConfig {
	config := agentPod()
	config.Room, config.Name, config.Agent = "gateway", rpc.Gateway, nil
	config.Catalogue, config.Gateway = "/etc/serin/catalogue.json", &gatewaySettings{TokenFile: "/etc/tokens"}

	return config
}

func getenv(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func TestPodsAreFilledFromTheirEnvironment(t *testing.T) {
	config := agentPod()
	if err := config.settle(getenv(podEnv())); err != nil {
		t.Fatal(err)
	}

	want := rpc.Identity{TrustDomain: "cluster.local", Namespace: "shop", Name: "billing"}
	if got := config.identity(config.Name); got != want {
		t.Errorf("it is %s", got)
	}

	work := &workload{config: config}
	if got := work.llmURL(); got != "http://localhost:7070/v1" {
		t.Errorf("the ambassador is at %s", got)
	}

	if got, err := config.listenAddress("grpc"); err != nil || got != "10.1.2.3:9000" {
		t.Errorf("gRPC at %s, %v", got, err)
	}

	if got, err := config.listenAddress("http"); err != nil || got != ":8080" {
		t.Errorf("HTTP at %s, %v", got, err)
	}

	for _, config := range []*workloadConfig{ambassadorPod(), sidecarPod(), gatewayPod()} {
		if err := config.settle(getenv(podEnv())); err != nil {
			t.Errorf("%s in mode %s: %v", config.Room, config.plane(), err)
		}
	}
}

func TestSupervisedProcessesStayAsTheyAre(t *testing.T) {
	config := &workloadConfig{Room: "agent", Name: "billing", Namespace: "default", Targets: map[string]string{rpc.Ambassador: "127.0.0.1:1"}}
	before := *config

	if err := config.settle(getenv(podEnv())); err != nil {
		t.Fatal(err)
	}

	if diff := cmp.Diff(before, *config, cmp.AllowUnexported(workloadConfig{}, podEnvironment{})); diff != "" {
		t.Error(diff)
	}

	if got := (&workload{config: config}).llmURL(); got != "https://127.0.0.1:1/v1" {
		t.Errorf("the ambassador is at %s", got)
	}
}

func TestHalfConfiguredPodsAreRefused(t *testing.T) {
	type change func(c *workloadConfig, env map[string]string)

	for title, test := range map[string]struct {
		config *workloadConfig
		spoil  change
		want   string
	}{
		"an unknown mode":         {agentPod(), func(c *workloadConfig, _ map[string]string) { c.DataPlane.Mode = "proxy" }, `dataPlane.mode: "proxy": must be embedded, proxyless, sidecar or none`},
		"no istiod":               {agentPod(), func(c *workloadConfig, _ map[string]string) { c.DataPlane.Discovery = "" }, `dataPlane.discovery: "": must be istiod's host:port`},
		"an istiod without port":  {agentPod(), func(c *workloadConfig, _ map[string]string) { c.DataPlane.Discovery = "istiod" }, `dataPlane.discovery: "istiod"`},
		"no token":                {agentPod(), func(c *workloadConfig, _ map[string]string) { c.DataPlane.TokenFile = "" }, `dataPlane.tokenFile: "": must be the file of a projected service account token with the audience istio-ca`},
		"no root":                 {agentPod(), func(c *workloadConfig, _ map[string]string) { c.DataPlane.RootFile = "" }, `dataPlane.rootFile: "": must be the file root-cert.pem`},
		"no directory":            {agentPod(), func(c *workloadConfig, _ map[string]string) { c.Certificates = "" }, "certificates"},
		"no name":                 {agentPod(), func(c *workloadConfig, _ map[string]string) { c.Name = "" }, "service account"},
		"no pod name":             {agentPod(), func(_ *workloadConfig, env map[string]string) { delete(env, "POD_NAME") }, "POD_NAME"},
		"no address":              {agentPod(), func(_ *workloadConfig, env map[string]string) { env["POD_IP"] = "pod" }, `POD_IP: "pod"`},
		"no namespace":            {agentPod(), func(_ *workloadConfig, env map[string]string) { delete(env, "POD_NAMESPACE") }, "POD_NAMESPACE"},
		"another namespace":       {agentPod(), func(c *workloadConfig, _ map[string]string) { c.Namespace = "other" }, `namespace: "other": must be the pod's, which POD_NAMESPACE says is "shop"`},
		"no bootstrap":            {agentPod(), func(_ *workloadConfig, env map[string]string) { delete(env, "GRPC_XDS_BOOTSTRAP") }, "GRPC_XDS_BOOTSTRAP"},
		"no ambassador":           {agentPod(), func(_ *workloadConfig, env map[string]string) { delete(env, "LLM_ENDPOINT") }, "LLM_ENDPOINT"},
		"an ambassador elsewhere": {agentPod(), func(_ *workloadConfig, env map[string]string) { env["LLM_ENDPOINT"] = "http://llm.shop:7070/v1" }, `targets.serin-ambassador: "http://llm.shop:7070/v1"`},
		"no agent":                {agentPod(), func(c *workloadConfig, _ map[string]string) { c.Agent = nil }, "agent: must have file"},
		"a negative drain":        {agentPod(), func(c *workloadConfig, _ map[string]string) { c.Drain = -1 }, "drain: -1ns"},
		"a sidecar with a token":  {sidecarPod(), func(c *workloadConfig, _ map[string]string) { c.DataPlane.TokenFile = "/token" }, `dataPlane.tokenFile: "/token": is for mode proxyless`},
		"a sidecar with istiod":   {sidecarPod(), func(c *workloadConfig, _ map[string]string) { c.DataPlane.Discovery = "a:1" }, `dataPlane.discovery: "a:1": is for mode proxyless`},
		"embedded with istiod":    {sidecarPod(), func(c *workloadConfig, _ map[string]string) { c.DataPlane = &dataPlaneSettings{Discovery: "a:1"} }, "dataPlane.discovery"},
		"an agent without a mesh": {sidecarPod(), func(c *workloadConfig, _ map[string]string) { c.DataPlane.Mode = planeNone }, `dataPlane.mode: "none": must be another for room "agent"`},
		"the mesh in a pod":       {sidecarPod(), func(c *workloadConfig, _ map[string]string) { c.Room = "mesh" }, `room: "mesh": must run in mode embedded`},
		"an open ambassador":      {ambassadorPod(), func(c *workloadConfig, _ map[string]string) { c.Listen["llm"] = ":7070" }, `listen.llm: ":7070": must be a loopback address`},
		"an ambassador in a mesh": {ambassadorPod(), func(c *workloadConfig, _ map[string]string) { c.DataPlane.Mode = planeSidecar }, "must be none for an ambassador"},
		"a gateway without users": {gatewayPod(), func(c *workloadConfig, _ map[string]string) { c.Gateway = nil }, "gateway.tokenFile"},
		"an open public door":     {gatewayPod(), func(c *workloadConfig, _ map[string]string) { c.Listen["public"] = ":9443" }, "gateway.publicTLS"},
		"a shut public door":      {gatewayPod(), func(c *workloadConfig, _ map[string]string) { c.Gateway.PublicTLS = "/tls" }, "gateway.publicTLS"},
		"a gateway without news":  {gatewayPod(), func(c *workloadConfig, _ map[string]string) { c.Catalogue = "" }, "catalogue"},
		"a store without a file":  {agentPod(), func(c *workloadConfig, _ map[string]string) { c.Room = "context" }, "context.database"},
		"tools without a list":    {agentPod(), func(c *workloadConfig, _ map[string]string) { c.Room = "tools" }, "catalogue"},
	} {
		t.Run(title, func(t *testing.T) {
			env := maps.Clone(podEnv())
			test.spoil(test.config, env)

			err := test.config.settle(getenv(env))
			if err == nil || !strings.Contains(err.Error(), test.want) || ExitCode(err) != exitUsage {
				t.Errorf("got %v (exit code %d), want %s", err, ExitCode(err), test.want)
			}
		})
	}
}

func TestListenersThatNobodyConfigured(t *testing.T) {
	config := &workloadConfig{Name: "billing", Listen: map[string]string{"grpc": "$(POD_IP):9000", "http": "127.0.0.1:0"}}

	for name, want := range map[string]string{"api": "listen.api is not set", "grpc": "POD_IP is not set"} {
		if _, err := config.listener(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}

	listener, err := config.listener("http")
	if err != nil {
		t.Fatal(err)
	}

	defer listener.Close()
}

func TestPodLabels(t *testing.T) {
	path := filepath.Join(t.TempDir(), "labels")
	if err := os.WriteFile(path, []byte("app=\"billing\"\nnote=\"a \\\"b\\\"\"\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	settings := &dataPlaneSettings{Labels: map[string]string{"app": "x", "version": "1"}, LabelsFile: path}

	labels, err := settings.podLabels()
	if want := map[string]string{"app": "billing", "note": `a "b"`, "version": "1"}; err != nil || !maps.Equal(labels, want) {
		t.Errorf("got %v, %v", labels, err)
	}

	if !slices.Equal(slices.Sorted(maps.Keys(settings.Labels)), []string{"app", "version"}) {
		t.Error("the settings were changed")
	}

	for _, text := range []string{"app", "app=billing", `="x"`} {
		if labels, err := parseLabels(text); err == nil {
			t.Errorf("%q became %v", text, labels)
		}
	}
}
