package rpc_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
	"github.com/serinhq/serin/internal/telemetry"
)

// dashboard is what a process shows of its traffic.
type dashboard struct {
	*rpc.Traffic

	telemetry *telemetry.Telemetry
}

func newDashboard(t *testing.T, name, revision string) dashboard {
	t.Helper()

	observed, err := telemetry.New(telemetry.Options{Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}

	traffic, err := rpc.NewTraffic(observed.Meter, rpctest.Identity(t, name), revision)
	if err != nil {
		t.Fatal(err)
	}

	return dashboard{traffic, observed}
}

// series are the lines of a metric.
func (d dashboard) series(metric string) []string {
	page := httptest.NewRecorder()
	d.telemetry.Handler().ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))

	return slices.DeleteFunc(strings.Split(page.Body.String(), "\n"), func(line string) bool { return !strings.HasPrefix(line, metric) })
}

// revised tells its revision, as agents do.
type revised struct {
	*agent

	revision string
}

func (r revised) Handoff(request *handoffv1.HandoffRequest, stream grpc.ServerStreamingServer[handoffv1.HandoffResponse]) error {
	if err := stream.SetHeader(metadata.Pairs(rpc.HeaderRevision, r.revision)); err != nil {
		return err
	}

	return r.agent.Handoff(request, stream)
}

// TestTrafficIsSeenAsIstioSeesIt: the labels are those that Istio's dashboards ask for.
func TestTrafficIsSeenAsIstioSeesIt(t *testing.T) {
	const stable, candidate = "aaaaaaaaaaaa", "bbbbbbbbbbbb"

	p := newPlane(t)
	service := &agent{name: "billing", refuse: func(n int, _ string) error {
		if n == 1 {
			return status.Error(codes.ResourceExhausted, "full")
		}

		return nil
	}}
	backend := p.backend("billing", agentPolicy(), func(registrar grpc.ServiceRegistrar) {
		handoffv1.RegisterHandoffServiceServer(registrar, revised{service, candidate})
	})
	p.simpleOnce("billing", "billing", backend.Addr)

	seen := newDashboard(t, self, stable)
	connection := p.dial("billing", func(config *rpc.ClientConfig) { config.Traffic = seen.Traffic })

	for range 2 {
		_, _ = handOff(t.Context(), connection)
	}

	series := func(code string) string {
		return `istio_requests_total{connection_security_policy="unknown",destination_app="billing",` +
			`destination_canonical_revision="bbbbbbbbbbbb",destination_canonical_service="billing",` +
			`destination_principal="spiffe://cluster.local/ns/default/sa/billing",` +
			`destination_service="billing.default.svc.cluster.local",destination_service_name="billing",` +
			`destination_service_namespace="default",destination_version="bbbbbbbbbbbb",destination_workload="billing-bbbbbbbbbbbb",` +
			`destination_workload_namespace="default",grpc_response_status="` + code + `",reporter="source",request_protocol="grpc",` +
			`response_code="200",response_flags="-",source_app="serin-gateway",source_canonical_revision="aaaaaaaaaaaa",` +
			`source_canonical_service="serin-gateway",source_principal="spiffe://cluster.local/ns/default/sa/serin-gateway",` +
			`source_version="aaaaaaaaaaaa",source_workload="serin-gateway-aaaaaaaaaaaa",source_workload_namespace="default"} 1`
	}

	if diff := cmp.Diff([]string{series("0"), series("8")}, seen.series("istio_requests_total")); diff != "" {
		t.Error(diff)
	}

	buckets := seen.series("istio_request_duration_milliseconds_bucket")
	for _, bound := range []string{"0.5", "25", "3.6e+06", "+Inf"} {
		if !slices.ContainsFunc(buckets, func(line string) bool { return strings.Contains(line, `le="`+bound+`"`) }) {
			t.Errorf("no bucket of %s ms", bound)
		}
	}
}

// TestServersSeeTheirCallers, who prove who they are.
func TestServersSeeTheirCallers(t *testing.T) {
	p := newPlane(t)
	seen := newDashboard(t, self, "aaaaaaaaaaaa")
	server := p.startServer(policy(), register(&store{}), func(config *rpc.ServerConfig) { config.Traffic = seen.Traffic })
	p.serve(inbound(server.addr, true))
	server.await(t)

	if _, err := getTurn(t.Context(), server.dial(t, p.credentials("billing")), "t1"); err != nil {
		t.Fatal(err)
	}

	eventually(t, "the call was counted", func() bool { return len(seen.series("istio_requests_total")) == 1 })

	want := regexp.MustCompile(`connection_security_policy="mutual_tls".*destination_version="aaaaaaaaaaaa".*grpc_response_status="0",` +
		`reporter="destination".*source_app="billing",source_canonical_revision="unknown".*` +
		`source_principal="spiffe://cluster.local/ns/default/sa/billing"`)
	if got := seen.series("istio_requests_total")[0]; !want.MatchString(got) {
		t.Error(got)
	}
}

// TestServersThatAreNotThere are told from those that failed.
func TestServersThatAreNotThere(t *testing.T) {
	p := newPlane(t)
	p.simpleOnce("billing", "billing", "127.0.0.1:1")

	seen := newDashboard(t, self, "")
	connection := p.dial("billing", func(config *rpc.ClientConfig) { config.Traffic = seen.Traffic })

	if _, err := describe(soon(t, 5*time.Second), connection, grpc.WaitForReady(false)); grpcCode(err) != codes.Unavailable {
		t.Fatal(err)
	}

	got := seen.series("istio_requests_total")
	if len(got) != 1 || !strings.Contains(got[0], `destination_version="unknown"`) || !strings.Contains(got[0], `grpc_response_status="14"`) ||
		!strings.Contains(got[0], `response_code="503",response_flags="UF"`) || !strings.Contains(got[0], `source_workload="serin-gateway"`) {
		t.Error(got)
	}
}
