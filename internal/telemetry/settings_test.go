package telemetry

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func from(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

func TestSettings(t *testing.T) {
	otlp := []string{"otlp"}

	for name, test := range map[string]struct {
		variables map[string]string
		want      settings
	}{
		"nothing": {nil, settings{}},
		"a receiver is for traces; metrics stay with Prometheus": {
			map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, settings{traces: otlp},
		},
		"a receiver of traces": {
			map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, settings{traces: otlp},
		},
		"an exporter without a receiver uses the default one": {
			map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, settings{traces: otlp},
		},
		"no traces although there is a receiver": {
			map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, settings{},
		},
		"several": {map[string]string{"OTEL_TRACES_EXPORTER": "otlp,console, otlp"}, settings{traces: []string{"otlp", "console"}}},
		"metrics": {map[string]string{"OTEL_METRICS_EXPORTER": "prometheus,otlp"}, settings{metrics: otlp}},
		"protocols": {
			map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json"},
			settings{tracesProtocol: "grpc", metricsProtocol: "http/json"},
		},
		"disabled": {
			map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp"}, settings{},
		},
		"content": {map[string]string{"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}, settings{content: true}},
		"content on spans": {
			map[string]string{"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only"}, settings{content: true},
		},
		"no content":  {map[string]string{"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "NO_CONTENT"}, settings{}},
		"older names": {map[string]string{"OTEL_SEMCONV_STABILITY_OPT_IN": "rpc, gen_ai/dup"}, settings{olderNames: true}},
		"the sampler": {
			map[string]string{"OTEL_TRACES_SAMPLER": "TraceIDRatio", "OTEL_TRACES_SAMPLER_ARG": "0.5"},
			settings{sampler: "traceidratio", samplerArgument: "0.5"},
		},
	} {
		got := readSettings(from(test.variables))
		if test.want.tracesProtocol == "" {
			got.tracesProtocol, got.metricsProtocol = "", ""
		}

		if diff := cmp.Diff(&test.want, got, cmp.AllowUnexported(settings{}), cmpopts.IgnoreFields(settings{}, "getenv"), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestWrongValuesArePassedOver(t *testing.T) {
	problems := Problems(from(map[string]string{
		"OTEL_TRACES_EXPORTER": "otlp,zipkin", "OTEL_EXPORTER_OTLP_PROTOCOL": "thrift", "OTEL_TRACES_SAMPLER": "jaeger_remote",
		"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "EVENT_ONLY",
	}))

	for _, want := range []string{
		`OTEL_TRACES_EXPORTER "zipkin" is passed over: it must be otlp, console or none`,
		`OTEL_EXPORTER_OTLP_PROTOCOL "thrift" is passed over: it must be grpc, http/protobuf or http/json`,
		`OTEL_TRACES_SAMPLER "jaeger_remote" is passed over: it must be always_on`,
		`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT "EVENT_ONLY" is passed over`,
	} {
		if !slices.ContainsFunc(problems, func(problem string) bool { return strings.HasPrefix(problem, want) }) {
			t.Errorf("no problem %q in %q", want, problems)
		}
	}

	if len(problems) != 4 || len(Problems(from(nil))) != 0 {
		t.Errorf("problems: %q", problems)
	}
}

// TestSamplers draws two roots of requests, an errand of a process, and children of parents that are and are not sampled.
func TestSamplers(t *testing.T) {
	low, high := trace.TraceID{15: 1}, trace.TraceID{8: 0xff, 15: 1}
	sampled, not := trace.FlagsSampled, trace.TraceFlags(0)

	for name, test := range map[string]struct {
		sampler, argument                    string
		low, high, errand, childOf, childNot bool
	}{
		"default":             {"", "", true, true, false, true, false},
		"always_on":           {"always_on", "", true, true, false, true, true},
		"always_off":          {"always_off", "", false, false, false, false, false},
		"a ratio":             {"traceidratio", "0.5", true, false, false, true, true},
		"a ratio of roots":    {"parentbased_traceidratio", "0.5", true, false, false, true, false},
		"off, but with roots": {"parentbased_always_off", "", false, false, false, true, false},
		"a wrong argument":    {"traceidratio", "2", true, true, false, true, true},
		"no argument":         {"traceidratio", "", true, true, false, true, true},
	} {
		sampler := (&settings{sampler: test.sampler, samplerArgument: test.argument}).newSampler()
		ask := func(id trace.TraceID, kind trace.SpanKind, parent *trace.TraceFlags) bool {
			parameters := sdktrace.SamplingParameters{ParentContext: t.Context(), TraceID: id, Kind: kind}
			if parent != nil {
				parameters.ParentContext = trace.ContextWithRemoteSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
					TraceID: id, SpanID: trace.SpanID{1}, TraceFlags: *parent, Remote: true,
				}))
			}

			return sampler.ShouldSample(parameters).Decision == sdktrace.RecordAndSample
		}

		got := []bool{
			ask(low, trace.SpanKindServer, nil), ask(high, trace.SpanKindServer, nil), ask(low, trace.SpanKindClient, nil),
			ask(low, trace.SpanKindClient, &sampled), ask(low, trace.SpanKindServer, &not),
		}
		if want := []bool{test.low, test.high, test.errand, test.childOf, test.childNot}; !slices.Equal(got, want) {
			t.Errorf("%s: low, high, errand, child of a sampled one, child of another: %v, want %v", name, got, want)
		}
	}
}
