package xds

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	xdscredentials "google.golang.org/grpc/credentials/xds"
	grpcxds "google.golang.org/grpc/xds"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/serinhq/serin/mesh/xds/objects"
)

// Whatever validates is taken by a real client and a real server.
func TestWhatValidatesIsNeverRefused(t *testing.T) {
	p := startPlane(t, "", nil)
	port := p.proxies(t)
	accepted := 0

	rapid.Check(t, func(r *rapid.T) {
		text := anyObjects(port).Draw(r, "objects")
		if !valid(text) {
			return
		}

		accepted++

		p.store.set(t, text)

		version := p.store.Snapshot().Version

		var reached verdict

		eventually(t, "everyone answered about\n"+text, func() bool {
			world := p.server.world.Load()
			keys := map[resourceKey]struct{}{}

			for kind := range Type(types) {
				for name := range world.resources[kind] {
					keys[resourceKey{kind, name}] = struct{}{}
				}
			}

			reached = judge(&awaited{resources: keys}, world.resources, p.server.open(), time.Now())

			return world.version == version && !reached.waiting
		})

		if len(reached.refusals) > 0 {
			r.Fatalf("%v\n%s", reached.refusals, text)
		}
	})
	t.Logf("%d meshes were valid", accepted)
}

// valid reports whether the API would take everything in a text.
func valid(text string) bool {
	var snapshot objects.Snapshot

	for document := range strings.SplitSeq(text, "\n---\n") {
		if parseInto(&snapshot, []byte(document)) != nil {
			return false
		}
	}

	return !slices.ContainsFunc(all(snapshot), func(object metav1.Object) bool { return len(inspect(object).list) > 0 })
}

// proxies starts a server, whose port it returns, and a client of billing.
func (p *plane) proxies(t *testing.T) int {
	t.Helper()

	secured, err := xdscredentials.NewServerCredentials(xdscredentials.ServerOptions{FallbackCreds: insecure.NewCredentials()})
	if err != nil {
		t.Fatal(err)
	}

	// Handshakes wait for certificates that never come: not for long.
	server, err := grpcxds.NewGRPCServer(grpc.Creds(secured), grpcxds.BootstrapContentsForTesting(p.bootstrap()),
		grpc.ConnectionTimeout(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()

	t.Cleanup(func() {
		server.Stop()
		<-ended
	})
	p.plainClient(t).Connect()
	eventually(t, "client and server are there", func() bool { return len(p.server.open()) == 2 })

	return listener.Addr().(*net.TCPAddr).Port
}

func (p *plane) bootstrap() []byte {
	return fmt.Appendf(nil, `{
		"xds_servers": [{"server_uri": %q, "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
		"node": {"id": %q},
		"certificate_providers": {"default": {"plugin_name": "file_watcher", "config": {
			"certificate_file": "/nowhere", "private_key_file": "/nowhere", "ca_certificate_file": "/nowhere"}}},
		"server_listener_resource_name_template": "xds.istio.io/grpc/lds/inbound/%%s"
	}`, p.address, testNode)
}

// plainClient dials billing without any security.
func (p *plane) plainClient(t *testing.T) *grpc.ClientConn {
	t.Helper()

	resolver, err := grpcxds.NewXDSResolverWithConfigForTesting(p.bootstrap())
	if err != nil {
		t.Fatal(err)
	}

	client, err := grpc.NewClient("xds:///billing.default.svc.cluster.local:9000",
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithResolvers(resolver))
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { client.Close() })

	return client
}

// tree is a part of an object.
type tree = map[string]any

// anyObjects is a mesh of billing whose optional parts are drawn: often odd, and not always valid.
func anyObjects(port int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		base := billingEntry + workload("a", port, rapid.Bool().Draw(t, "ready")) + subsets("a", "b")
		made := []tree{
			object("VirtualService", "billing", tree{"hosts": []any{"billing"}, "http": rapid.SliceOfN(anyRoute(), 1, 4).Draw(t, "http")}),
		}

		if rapid.Bool().Draw(t, "policy") {
			made = append(made, object("AuthorizationPolicy", "access", tree{
				"action": rapid.SampledFrom([]string{"ALLOW", "DENY"}).Draw(t, "action"),
				"rules":  rapid.SliceOfN(anyRule(), 1, 3).Draw(t, "rules"),
			}))
		}

		if rapid.Bool().Draw(t, "authentication") {
			mode := rapid.SampledFrom([]string{"STRICT", "DISABLE", "UNSET"}).Draw(t, "mode")
			made = append(made, object("PeerAuthentication", "tls", tree{"mtls": tree{"mode": mode}}))
		}

		if rapid.Bool().Draw(t, "rule") {
			base = billingEntry + workload("a", port, true)
			made = append(made, object("DestinationRule", "billing", tree{
				"host": "billing", "trafficPolicy": anyPolicy().Draw(t, "traffic"),
				"subsets": []any{
					tree{"name": "a", "labels": tree{"rev": "a"}, "trafficPolicy": anyPolicy().Draw(t, "traffic of a")}, tree{"name": "b"},
				},
			}))
		}

		var text strings.Builder

		text.WriteString(base)

		for _, object := range made {
			document, err := yaml.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}

			text.WriteString("\n---\n" + string(document))
		}

		return text.String()
	})
}

func object(kind, name string, spec tree) tree {
	return tree{"kind": kind, "metadata": tree{"name": name}, "spec": spec}
}

// some draws each part or leaves it out.
func some(t *rapid.T, parts tree, generators map[string]*rapid.Generator[any]) tree {
	for _, name := range sortedKeys(generators) {
		if rapid.Bool().Draw(t, "with "+name) {
			parts[name] = generators[name].Draw(t, name)
		}
	}

	return parts
}

func anyText() *rapid.Generator[any] {
	return rapid.SampledFrom([]string{"a", "b", "x-y", "5", "/x", "é", "[a-z]+", "a*", "*a", "*", "a/b"}).AsAny()
}

func anyName() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"x", "X-Y", "serin-revision", "content-type", "host", "user-agent", "te", "y", "x-bin"})
}

func anyPattern() *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kind := rapid.SampledFrom([]string{"exact", "prefix", "regex", ""}).Draw(t, "kind")
		if kind == "" {
			return tree{}
		}

		return tree{kind: anyText().Draw(t, "text")}
	})
}

func anyDuration() *rapid.Generator[any] {
	return rapid.SampledFrom([]string{"2s", "1s", "0.000000001s", "315576000000s"}).AsAny()
}

func anyNumber() *rapid.Generator[any] {
	return rapid.SampledFrom([]int{1, 2, 50, 99, 100, 3, 4, 5, 9000}).AsAny()
}

func list(of *rapid.Generator[any], least int) *rapid.Generator[any] {
	return rapid.SliceOfN(of, least, 3).AsAny()
}

func parts(generators map[string]*rapid.Generator[any]) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any { return some(t, tree{}, generators) })
}

type generators = map[string]*rapid.Generator[any]

func anyRoute() *rapid.Generator[any] {
	destination := rapid.Custom(func(t *rapid.T) any {
		to := some(t, tree{"host": "billing"}, generators{"subset": rapid.SampledFrom([]string{"a", "b"}).AsAny()})

		return some(t, tree{"destination": to}, generators{"weight": anyNumber()})
	})

	return rapid.Custom(func(t *rapid.T) any {
		return some(t, tree{"route": list(destination, 1).Draw(t, "route")}, generators{
			"match": list(parts(generators{
				"uri": anyPattern(), "ignoreUriCase": rapid.Bool().AsAny(), "port": anyNumber(),
				"headers": rapid.MapOfN(anyName(), anyPattern(), 0, 3).AsAny(),
			}), 0),
			"timeout": anyDuration(),
			"retries": parts(generators{
				"attempts": anyNumber(), "backoff": anyDuration(),
				"retryOn": rapid.SampledFrom([]string{"", "unavailable", "cancelled, internal"}).AsAny(),
			}),
			"fault": parts(generators{
				"delay": parts(generators{"fixedDelay": anyDuration(), "percentage": parts(generators{"value": anyNumber()})}),
				"abort": parts(generators{
					"grpcStatus": rapid.SampledFrom([]string{"OK", "UNAVAILABLE", "UNKNOWN"}).AsAny(), "percentage": parts(generators{"value": anyNumber()}),
				}),
			}),
		})
	})
}

func anyPolicy() *rapid.Generator[any] {
	return parts(generators{
		"tls":            rapid.SampledFrom([]any{tree{"mode": "ISTIO_MUTUAL"}, tree{"mode": "DISABLE"}, tree{}}),
		"connectionPool": parts(generators{"http": parts(generators{"http2MaxRequests": anyNumber()})}),
		"loadBalancer": rapid.Custom(func(t *rapid.T) any {
			if rapid.Bool().Draw(t, "simple") {
				return tree{"simple": rapid.SampledFrom([]string{"ROUND_ROBIN", "UNSPECIFIED"}).Draw(t, "policy")}
			}

			ring := parts(generators{"minimumRingSize": rapid.SampledFrom([]int{0, 1, 1024, 8 << 20}).AsAny()})

			return tree{"consistentHash": some(t, tree{"httpHeaderName": anyName().Draw(t, "header")}, generators{"ringHash": ring})}
		}),
	})
}

func anyRule() *rapid.Generator[any] {
	texts := list(anyText(), 0)
	port := list(rapid.SampledFrom([]string{"9000", "1", "65535"}).AsAny(), 1)
	key := rapid.Custom(func(t *rapid.T) any {
		return rapid.SampledFrom([]string{
			"source.principal", "source.namespace", "destination.port", "request.headers[" + anyName().Draw(t, "header") + "]",
		}).Draw(t, "key")
	})

	return parts(generators{
		"from": list(parts(generators{"source": parts(generators{
			"principals": texts, "notPrincipals": texts, "namespaces": texts, "notNamespaces": texts,
			"serviceAccounts": texts, "notServiceAccounts": texts,
		})}), 1),
		"to":   list(parts(generators{"operation": parts(generators{"paths": texts, "notPaths": texts, "ports": port, "notPorts": port})}), 1),
		"when": list(parts(generators{"key": key, "values": texts, "notValues": texts}), 1),
	})
}
