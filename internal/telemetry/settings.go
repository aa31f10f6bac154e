package telemetry

import (
	"fmt"
	"slices"
	"strings"
)

// The exporters, and the protocols of OTLP.
const (
	exporterOTLP       = "otlp"
	exporterConsole    = "console"
	exporterPrometheus = "prometheus"
	exporterNone       = "none"

	protocolGRPC         = "grpc"
	protocolHTTP         = "http/protobuf"
	protocolHTTPJSON     = "http/json"
	tracesExporterName   = "OTEL_TRACES_EXPORTER"
	metricsExporterName  = "OTEL_METRICS_EXPORTER"
	sharedProtocolName   = "OTEL_EXPORTER_OTLP_PROTOCOL"
	sdkDisabledName      = "OTEL_SDK_DISABLED"
	sharedEndpointName   = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tracesEndpointName   = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	tracesProtocolName   = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	metricsProtocolName  = "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"
	samplerName          = "OTEL_TRACES_SAMPLER"
	samplerArgumentName  = "OTEL_TRACES_SAMPLER_ARG"
	defaultOTLPProtocol  = protocolHTTP
	protocolsDescription = "grpc, http/protobuf or http/json"
)

// settings are what OpenTelemetry's standard variables say. The rest of them (endpoints, headers, certificates, time
// limits, batches, resource attributes) is read by OpenTelemetry itself.
type settings struct {
	// traces and metrics are exporters. Prometheus' is not among them: it is always there.
	traces, metrics                 []string
	tracesProtocol, metricsProtocol string
	sampler, samplerArgument        string
	content, olderNames             bool
	// problems are values that were passed over: the specification forbids to fail because of them.
	problems []string

	getenv func(string) string
}

// Problems says which of OpenTelemetry's variables have values that will be passed over, and what would be right.
func Problems(getenv func(string) string) []string {
	read := readSettings(getenv)
	_ = read.newSampler() // it adds its own

	return read.problems
}

func readSettings(getenv func(string) string) *settings {
	read := &settings{getenv: getenv}
	if getenv == nil {
		return read
	}

	read.content = read.captures()
	read.olderNames = slices.Contains(split(getenv(stabilityChoicesVariable)), olderNamesChoice)

	if read.flag(sdkDisabledName) {
		return read
	}

	traces := getenv(tracesExporterName)
	if traces == "" && (getenv(sharedEndpointName) != "" || getenv(tracesEndpointName) != "") {
		traces = exporterOTLP // whoever names a receiver wants it to get something
	}

	read.traces = read.exporters(tracesExporterName, traces, exporterOTLP, exporterConsole)
	read.metrics = read.exporters(metricsExporterName, getenv(metricsExporterName), exporterOTLP, exporterPrometheus)
	read.metrics = slices.DeleteFunc(read.metrics, func(name string) bool { return name == exporterPrometheus })
	read.tracesProtocol = read.protocol(tracesProtocolName)
	read.metricsProtocol = read.protocol(metricsProtocolName)
	read.sampler, read.samplerArgument = strings.ToLower(strings.TrimSpace(getenv(samplerName))), getenv(samplerArgumentName)

	return read
}

// captures reports whether content of messages may be on spans. There are two generations of values: true and false, and
// the places where content may be; Serin has one of these.
func (s *settings) captures() bool {
	value := s.getenv(captureContentVariable)

	switch strings.ToUpper(strings.TrimSpace(value)) {
	case "TRUE", "SPAN_ONLY", "SPAN_AND_EVENT":
		return true
	case "", "FALSE", "NO_CONTENT":
	default:
		s.passOver(captureContentVariable, value, "true, false, NO_CONTENT, SPAN_ONLY or SPAN_AND_EVENT")
	}

	return false
}

func (s *settings) flag(name string) bool {
	value := s.getenv(name)

	switch strings.ToLower(strings.TrimSpace(value)) {
	case "true":
		return true
	case "", "false":
	default:
		s.passOver(name, value, "true or false")
	}

	return false
}

// exporters reads a list of exporters.
func (s *settings) exporters(name, value string, known ...string) []string {
	var wanted []string

	for _, exporter := range split(value) {
		switch {
		case exporter == exporterNone:
		case !slices.Contains(known, exporter):
			s.passOver(name, exporter, strings.Join(known, ", ")+" or "+exporterNone)
		case !slices.Contains(wanted, exporter):
			wanted = append(wanted, exporter)
		}
	}

	return wanted
}

// protocol is the signal's own, or the one of all signals.
func (s *settings) protocol(own string) string {
	for _, name := range []string{own, sharedProtocolName} {
		switch value := strings.TrimSpace(s.getenv(name)); value {
		case "":
		case protocolGRPC, protocolHTTP, protocolHTTPJSON:
			return value
		default:
			s.passOver(name, value, protocolsDescription)
		}
	}

	return defaultOTLPProtocol
}

// passOver notes a value once.
func (s *settings) passOver(name, value, right string) {
	problem := fmt.Sprintf("%s %q is passed over: it must be %s", name, value, right)
	if !slices.Contains(s.problems, problem) {
		s.problems = append(s.problems, problem)
	}
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
