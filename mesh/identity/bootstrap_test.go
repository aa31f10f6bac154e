package identity_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/identity"
)

func bootstrap() identity.Bootstrap {
	return identity.Bootstrap{
		ServerURI: "127.0.0.1:15012", Directory: "/run/billing", Identity: name("billing"), NodeIP: "127.0.0.1",
		Workload: "billing-0123456789ab", Labels: map[string]string{"app": "billing"},
	}
}

const wantBootstrap = `{
  "xds_servers": [{
    "server_uri": "127.0.0.1:15012",
    "channel_creds": [{"type": "tls", "config": {
      "certificate_file": "/run/billing/svid.pem", "private_key_file": "/run/billing/key.pem",
      "ca_certificate_file": "/run/billing/bundle.pem", "refresh_interval": "10s"
    }}],
    "server_features": ["xds_v3"]
  }],
  "node": {
    "id": "sidecar~127.0.0.1~billing-0123456789ab.default~default.svc.cluster.local",
    "metadata": {
      "GENERATOR": "grpc", "NAMESPACE": "default", "SERVICE_ACCOUNT": "billing", "CLUSTER_ID": "Kubernetes",
      "NAME": "billing-0123456789ab", "LABELS": {"app": "billing"}, "INSTANCE_IPS": "127.0.0.1"
    }
  },
  "certificate_providers": {"default": {"plugin_name": "file_watcher", "config": {
    "certificate_file": "/run/billing/svid.pem", "private_key_file": "/run/billing/key.pem",
    "ca_certificate_file": "/run/billing/bundle.pem", "refresh_interval": "10s"
  }}},
  "server_listener_resource_name_template": "xds.istio.io/grpc/lds/inbound/%s"
}`

func parse(t *testing.T, data string) (parsed any) {
	t.Helper()

	if err := json.Unmarshal([]byte(data), &parsed); err != nil {
		t.Fatal(err)
	}

	return parsed
}

func TestBootstrap(t *testing.T) {
	data, err := bootstrap().JSON()
	if err != nil {
		t.Fatal(err)
	}

	if diff := cmp.Diff(parse(t, wantBootstrap), parse(t, string(data))); diff != "" {
		t.Error(diff)
	}
}

func TestBootstrapOfACluster(t *testing.T) {
	b := bootstrap()
	b.ClusterID, b.Labels = "east", nil

	data, err := b.JSON()
	if err != nil || !strings.Contains(string(data), `"CLUSTER_ID": "east"`) || strings.Contains(string(data), "null") {
		t.Errorf("got %s, %v", data, err)
	}
}

func TestBootstrapRefreshInterval(t *testing.T) {
	for interval, want := range map[time.Duration]string{0: "10s", time.Minute: "60s", 50 * time.Millisecond: "0.05s"} {
		b := bootstrap()
		b.RefreshInterval = interval

		data, err := b.JSON()
		if got := strings.Count(string(data), `"refresh_interval": "`+want+`"`); err != nil || got != 2 {
			t.Errorf("%v: %s, %v; want %s for the control plane and for peers", interval, data, err, want)
		}
	}
}

func TestBootstrapNeedsItsFields(t *testing.T) {
	for want, change := range map[string]func(*identity.Bootstrap){
		"ServerURI": func(b *identity.Bootstrap) { b.ServerURI = "" },
		"Directory": func(b *identity.Bootstrap) { b.Directory = "" },
		"Workload":  func(b *identity.Bootstrap) { b.Workload = "" },
		"Refresh":   func(b *identity.Bootstrap) { b.RefreshInterval = -1 },
		"NodeIP":    func(b *identity.Bootstrap) { b.NodeIP = "localhost" },
		"identity":  func(b *identity.Bootstrap) { b.Identity = rpc.Identity{} },
	} {
		b := bootstrap()
		change(&b)

		if data, err := b.JSON(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %s, %v", want, data, err)
		}
	}
}
