package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/serinhq/serin/internal/app"
)

// collector is a receiver of OTLP over HTTP that keeps what it gets.
type collector struct {
	url string

	mu    sync.Mutex
	spans []span
	raw   [][]byte
}

// span is a span with the service that it is from.
type span struct {
	*tracev1.Span

	service  string
	resource map[string]string
}

func (s *span) attribute(key string) string { return values(s.GetAttributes())[key] }

// startCollector starts a receiver, which the platform's processes are told of as users would tell them.
func startCollector(t *testing.T, variables ...string) (*collector, func(*app.PlatformConfig)) {
	t.Helper()

	c := &collector{}
	server := httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(server.Close)
	c.url = server.URL

	return c, func(config *app.PlatformConfig) {
		config.ExtraEnv = append(config.ExtraEnv, "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL, "OTEL_BSP_SCHEDULE_DELAY=200")
		config.ExtraEnv = append(config.ExtraEnv, variables...)
	}
}

func (c *collector) serve(writer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil || request.URL.Path != "/v1/traces" {
		http.Error(writer, fmt.Sprintf("%s: %v", request.URL.Path, err), http.StatusBadRequest)

		return
	}

	var received collectorv1.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &received); err != nil {
		http.Error(writer, err.Error(), http.StatusBadRequest)

		return
	}

	c.mu.Lock()
	defer c.mu.Unlock()

	c.raw = append(c.raw, body)

	for _, resource := range received.GetResourceSpans() {
		origin := values(resource.GetResource().GetAttributes())

		for _, scope := range resource.GetScopeSpans() {
			for _, one := range scope.GetSpans() {
				c.spans = append(c.spans, span{Span: one, service: origin["service.name"], resource: origin})
			}
		}
	}
}

// values are attributes as text.
func values(attributes []*commonv1.KeyValue) map[string]string {
	all := map[string]string{}

	for _, attribute := range attributes {
		switch value := attribute.GetValue().GetValue().(type) {
		case *commonv1.AnyValue_StringValue:
			all[attribute.GetKey()] = value.StringValue
		case *commonv1.AnyValue_ArrayValue:
			texts := make([]string, len(value.ArrayValue.GetValues()))
			for i, one := range value.ArrayValue.GetValues() {
				texts[i] = one.GetStringValue()
			}

			all[attribute.GetKey()] = strings.Join(texts, ",")
		case *commonv1.AnyValue_IntValue:
			all[attribute.GetKey()] = fmt.Sprint(value.IntValue)
		case *commonv1.AnyValue_DoubleValue:
			all[attribute.GetKey()] = fmt.Sprint(value.DoubleValue)
		case *commonv1.AnyValue_BoolValue:
			all[attribute.GetKey()] = fmt.Sprint(value.BoolValue)
		}
	}

	return all
}

// all are the spans that have come so far.
func (c *collector) all() []span {
	c.mu.Lock()
	defer c.mu.Unlock()

	return slices.Clone(c.spans)
}

// having are those that fit.
func (c *collector) having(fits func(span) bool) []span {
	return slices.DeleteFunc(c.all(), func(one span) bool { return !fits(one) })
}

func named(prefix string) func(span) bool {
	return func(one span) bool { return strings.HasPrefix(one.GetName(), prefix) }
}

// traceOf is the trace of the one request that fits.
func (c *collector) traceOf(t *testing.T, fits func(span) bool) []span {
	t.Helper()

	roots := c.having(fits)
	if len(roots) != 1 {
		t.Fatalf("%d spans of requests, want 1", len(roots))
	}

	return c.having(func(one span) bool { return string(one.GetTraceId()) == string(roots[0].GetTraceId()) })
}
