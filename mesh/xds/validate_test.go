package xds

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/serinhq/serin/mesh/xds/objects"
)

// What cannot mean what it says is refused, and the field is named.
func TestValidateRefusesByName(t *testing.T) {
	for kind, cases := range validationCases() {
		for _, test := range cases {
			t.Run(kind+"/"+test.want, func(t *testing.T) {
				err := validateAll(t, "kind: "+kind+"\nmetadata: {name: billing}\nspec: "+test.spec)

				switch {
				case test.want == "" && err != nil:
					t.Errorf("%s\nis refused: %v", test.spec, err)
				case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
					t.Errorf("%s\ngot  %v\nwant %s", test.spec, err, test.want)
				}
			})
		}
	}
}

func validateAll(tb testing.TB, text string) error {
	tb.Helper()

	for _, object := range all(parse(tb, text)) {
		if err := Validate(object.(runtime.Object)); err != nil {
			return err
		}
	}

	return nil
}

type validationCase struct{ spec, want string }

func validationCases() map[string][]validationCase {
	route := func(extra string) string {
		return "{hosts: [billing], http: [{route: [{destination: {host: billing}}]" + extra + "}]}"
	}
	match := func(match string) string { return route(", match: [" + match + "]") }
	rule := func(extra string) string { return "{host: billing, " + extra + "}" }
	policy := func(policy string) string { return rule("trafficPolicy: {" + policy + "}") }
	entry := func(extra string) string {
		return "{hosts: [billing], ports: [{number: 9000, name: grpc, protocol: GRPC}], location: MESH_INTERNAL, " +
			"resolution: STATIC, workloadSelector: {labels: {app: billing}}" + extra + "}"
	}
	access := func(rule string) string { return "{rules: [" + rule + "]}" }

	return map[string][]validationCase{
		objects.VirtualService: {
			{route(""), ""},
			{match("{headers: {serin-revision: {exact: abc}, x: {}}, uri: {prefix: /}}"), ""},
			{route(", mirror: {host: billing}"), "spec.http[0].mirror: Forbidden: not supported: proxyless gRPC ignores it"},
			{route(", mirrors: [{destination: {host: billing}}]"), "spec.http[0].mirrors"},
			{route(", mirrorPercentage: {value: 1}"), "spec.http[0].mirrorPercentage"},
			{route(", corsPolicy: {}"), "spec.http[0].corsPolicy: Forbidden: not supported: proxyless gRPC refuses the whole route"},
			{route(", redirect: {uri: /}"), "spec.http[0].redirect: Forbidden: not supported: proxyless gRPC answers UNAVAILABLE"},
			{route(", directResponse: {status: 503}"), "spec.http[0].directResponse"},
			{route(", delegate: {name: x}"), "spec.http[0].delegate"},
			{route(", rewrite: {uri: /}"), "spec.http[0].rewrite"},
			{route(", headers: {request: {set: {a: b}}}"), "spec.http[0].headers"},
			{route(", timeout: -1s"), "spec.http[0].timeout: Forbidden: -1s is not a usable duration"},
			{route(", retries: {perTryTimeout: 1s}"), "spec.http[0].retries.perTryTimeout"},
			{route(", retries: {retryOn: 5xx}"), `spec.http[0].retries.retryOn: Forbidden: "5xx" is not supported: proxyless gRPC knows cancelled`},
			{route(", retries: {attempts: -1}"), "spec.http[0].retries.attempts: Forbidden: -1 must not be negative"},
			{route(", retries: {attempts: 2, backoff: 0s}"), "spec.http[0].retries.backoff"},
			{route(", fault: {abort: {grpcStatus: NONSENSE}}"), `spec.http[0].fault.abort.grpcStatus: Forbidden: "NONSENSE" is not a gRPC code`},
			{route(", fault: {abort: {httpStatus: 99}}"), "spec.http[0].fault.abort.httpStatus: Forbidden: 99 must lie between 200 and 599"},
			{route(", fault: {abort: {}}"), "spec.http[0].fault.abort: Forbidden: must have grpcStatus or httpStatus"},
			{route(", fault: {delay: {fixedDelay: 1s, percentage: {value: 101}}}"), "spec.http[0].fault.delay.percentage.value: Forbidden: 101 must lie between 0 and 100"},
			{route(", fault: {delay: {exponentialDelay: 1s}}"), "spec.http[0].fault.delay.exponentialDelay"},
			{match("{method: {exact: GET}}"), "spec.http[0].match[0].method: Forbidden: not supported: proxyless gRPC ignores it, every call is a POST"},
			{match("{authority: {exact: x}}"), "spec.http[0].match[0].authority"},
			{match("{queryParams: {a: {exact: x}}}"), "spec.http[0].match[0].queryParams"},
			{match("{withoutHeaders: {a: {}}}"), "spec.http[0].match[0].withoutHeaders: Forbidden: not supported: it does not match a header that is absent"},
			{match("{sourceLabels: {a: b}}"), "spec.http[0].match[0].sourceLabels"},
			{match("{sourceNamespace: a}"), "spec.http[0].match[0].sourceNamespace"},
			{match("{gateways: [public]}"), "spec.http[0].match[0].gateways"},
			{match("{uri: {regex: '('}}"), `spec.http[0].match[0].uri.regex: Forbidden: "(" is not an RE2 expression`},
			{match("{uri: {}}"), "spec.http[0].match[0].uri: Forbidden: must have one of exact, prefix, regex"},
			{match("{headers: {x: {prefix: ''}}}"), "spec.http[0].match[0].headers[x]: Forbidden: must not be empty"},
			{match("{headers: {':path': {}}}"), `":path" is not a header that proxyless gRPC matches on`},
			{match("{headers: {x-bin: {}}}"), `"x-bin" is not a header that proxyless gRPC matches on`},
			{"{hosts: [billing], http: [{route: [{destination: {host: a}}, {destination: {host: b}}]}]}", "spec.http[0].route: Forbidden: the weights sum up to 0"},
			{"{hosts: [billing], http: [{route: [{destination: {host: a}, weight: -1}]}]}", "spec.http[0].route[0].weight"},
			{"{hosts: [billing], http: [{route: [{destination: {host: a}, headers: {}}]}]}", "spec.http[0].route[0].headers"},
			{"{hosts: [billing], http: [{}]}", "spec.http[0].route: Forbidden: must hold at least one destination"},
			{"{hosts: ['*'], http: [{route: [{destination: {host: a}}]}]}", `spec.hosts[0]: Forbidden: "*" must be the name of one host`},
			{"{hosts: [billing], tcp: [{route: [{destination: {host: a}}]}]}", "spec.tcp: Forbidden: not supported: proxyless gRPC takes http routes only"},
			{"{hosts: [billing], gateways: [public], http: [{route: [{destination: {host: a}}]}]}", `spec.gateways: Forbidden: must contain "mesh"`},
			{"{hosts: [billing], exportTo: ['.'], http: [{route: [{destination: {host: a}}]}]}", `spec.exportTo[0]: Forbidden: "." is not supported`},
		},
		objects.DestinationRule: {
			{rule("subsets: [{name: a, labels: {x: v}}, {name: b}]"), ""},
			{policy("loadBalancer: {consistentHash: {httpHeaderName: x-user, ringHash: {}}}, tls: {mode: ISTIO_MUTUAL}"), ""},
			{policy("outlierDetection: {}"), "spec.trafficPolicy.outlierDetection: Forbidden: not supported: proxyless gRPC ignores it"},
			{policy("loadBalancer: {consistentHash: {httpHeaderName: x, maglev: {}}}"), "spec.trafficPolicy.loadBalancer.consistentHash.maglev: Forbidden: not supported: proxyless gRPC refuses the whole cluster"},
			{policy("loadBalancer: {consistentHash: {useSourceIp: true}}"), "consistentHash.useSourceIp: Forbidden: not supported: proxyless gRPC hashes at random"},
			{policy("loadBalancer: {consistentHash: {httpCookie: {name: a, ttl: 0s}}}"), "consistentHash.httpCookie"},
			{policy("loadBalancer: {consistentHash: {}}"), "consistentHash.httpHeaderName"},
			{policy("loadBalancer: {consistentHash: {httpHeaderName: x, ringHash: {minimumRingSize: 9000000}}}"), "9000000 must be at most 8388608"},
			{policy("loadBalancer: {simple: LEAST_REQUEST}"), "spec.trafficPolicy.loadBalancer.simple: Forbidden: LEAST_REQUEST is not supported"},
			{policy("loadBalancer: {warmupDurationSecs: 1s}"), "warmupDurationSecs"},
			{policy("loadBalancer: {localityLbSetting: {}}"), "localityLbSetting: Forbidden: not supported on one machine"},
			{policy("connectionPool: {tcp: {maxConnections: 1}}"), "spec.trafficPolicy.connectionPool.tcp"},
			{policy("connectionPool: {http: {maxRetries: 1}}"), "spec.trafficPolicy.connectionPool.http.maxRetries"},
			{policy("connectionPool: {http: {http2MaxRequests: -1}}"), "http2MaxRequests: Forbidden: -1 must not be negative"},
			{policy("tls: {mode: SIMPLE}"), "spec.trafficPolicy.tls.mode: Forbidden: SIMPLE is not supported"},
			{policy("tls: {mode: ISTIO_MUTUAL, sni: x}"), "spec.trafficPolicy.tls.sni"},
			{policy("portLevelSettings: [{tls: {mode: DISABLE}}]"), "spec.trafficPolicy.portLevelSettings[0].port.number: Forbidden: 0 must be a port"},
			{rule("subsets: [{name: a, trafficPolicy: {outlierDetection: {}}}]"), "spec.subsets[0].trafficPolicy.outlierDetection"},
			{rule("subsets: [{name: a}, {name: a}]"), `spec.subsets[1].name: Forbidden: "a" is there already`},
			{rule("workloadSelector: {matchLabels: {a: b}}"), "spec.workloadSelector"},
		},
		objects.ServiceEntry: {
			{entry(""), ""},
			{entry(", endpoints: [{address: 127.0.0.1}]"), "spec.endpoints: Forbidden: not supported on one machine: write a WorkloadEntry"},
			{entry(", addresses: [10.0.0.1]"), "spec.addresses"},
			{"{hosts: [billing], ports: [{number: 1, name: a, protocol: TCP}], resolution: DNS}", "spec.location: Forbidden: MESH_EXTERNAL is not supported"},
			{"{hosts: [billing], ports: [{number: 1, name: a, protocol: TCP}], resolution: DNS}", `spec.ports[0].protocol: Forbidden: "TCP" is not supported`},
			{"{hosts: [billing], resolution: DNS}", "spec.workloadSelector.labels: Forbidden: must say which"},
			{"{ports: [{number: 70000, name: a, protocol: GRPC}, {number: 1, name: a, protocol: GRPC}]}", `spec.ports[1]: Forbidden: name "a" and number 1 must be there, and each once`},
		},
		objects.WorkloadEntry: {
			{"{address: 127.0.0.1, ports: {grpc: 1}, labels: {a: b}, serviceAccount: billing}", ""},
			{"{address: 'unix:///x', ports: {grpc: 1}}", `spec.address: Forbidden: "unix:///x" must be an IP address`},
			{"{address: 127.0.0.1}", "spec.ports: Forbidden: must hold at least one port"},
			{"{address: 127.0.0.1, ports: {grpc: 0}}", "spec.ports[grpc]: Forbidden: 0 must be a port"},
			{"{address: 127.0.0.1, ports: {grpc: 1}, weight: 2}", "spec.weight: Forbidden: not supported: proxyless gRPC ignores it"},
			{"{address: 127.0.0.1, ports: {grpc: 1}, locality: a/b}", "spec.locality: Forbidden: not supported on one machine"},
		},
		objects.AuthorizationPolicy: {
			{access("{}"), ""},
			{"{action: DENY}", ""},
			{"{}", "spec.rules: Forbidden: must not be empty: proxyless gRPC does not enforce it; to deny all, write action: DENY"},
			{"{action: AUDIT, rules: [{}]}", "spec.action: Forbidden: AUDIT is not supported"},
			{access("{from: [{source: {requestPrincipals: ['*']}}]}"), "spec.rules[0].from[0].source.requestPrincipals: Forbidden: not supported: proxyless gRPC knows no request principals"},
			{access("{from: [{source: {ipBlocks: [10.0.0.0/8]}}]}"), "ipBlocks: Forbidden: not supported on one machine"},
			{access("{from: [{source: {principals: ['spiffe://x']}}]}"), "must look like cluster.local/ns/default/sa/billing"},
			{access("{from: [{source: {serviceAccounts: ['a/b/c']}}]}"), "must look like account or namespace/account"},
			{access("{to: [{operation: {methods: [GET]}}]}"), "methods: Forbidden: not supported: every gRPC call is a POST; use paths"},
			{access("{to: [{operation: {hosts: [a]}}]}"), "hosts: Forbidden"},
			{access("{to: [{operation: {ports: [http]}}]}"), `"http" must be a port`},
			{access("{to: [{operation: {paths: ['/{*}']}}]}"), `"/{*}" must be a path`},
			{access("{when: [{key: 'request.auth.claims[a]', values: [b]}]}"), `"request.auth.claims[a]" is not supported`},
			{access("{when: [{key: 'request.headers[grpc-x]', values: [b]}]}"), `"grpc-x" is not a header`},
			{access("{when: [{key: source.namespace}]}"), "must have values or notValues"},
			{"{targetRefs: [{kind: Service, name: a}], rules: [{}]}", "spec.targetRefs"},
		},
		objects.PeerAuthentication: {
			{"{mtls: {mode: STRICT}}", ""},
			{"{selector: {matchLabels: {a: b}}, mtls: {mode: DISABLE}, portLevelMtls: {9000: {mode: STRICT}}}", ""},
			{"{mtls: {mode: PERMISSIVE}}", "spec.mtls.mode: Forbidden: PERMISSIVE is not supported"},
			{"{portLevelMtls: {9000: {mode: STRICT}}}", "spec.portLevelMtls: Forbidden: needs a selector"},
		},
	}
}

// The API tells fields apart.
func TestValidateNamesFields(t *testing.T) {
	err := validateAll(t, `
kind: VirtualService
metadata: {name: billing}
spec: {hosts: [billing], http: [{mirror: {host: a}, route: [{destination: {host: a}, weight: -3}]}]}
`)

	var fields []string

	aggregate, ok := err.(utilerrors.Aggregate) //nolint:errorlint // exactly this
	if !ok {
		t.Fatalf("Validate() = %T", err)
	}

	for _, err := range aggregate.Errors() {
		fields = append(fields, err.(*field.Error).Field) //nolint:errorlint // exactly this
	}

	if got, want := fmt.Sprint(fields), "[spec.http[0].mirror spec.http[0].route[0].weight]"; got != want {
		t.Errorf("fields %s, want %s", got, want)
	}
}
