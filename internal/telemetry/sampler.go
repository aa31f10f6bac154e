package telemetry

import (
	"strconv"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// newSampler is the one that OTEL_TRACES_SAMPLER names; parentbased_always_on by default.
func (s *settings) newSampler() sdktrace.Sampler {
	name, parent := strings.CutPrefix(s.sampler, "parentbased_")

	var root sdktrace.Sampler

	switch name {
	case "always_on":
		root = sdktrace.AlwaysSample()
	case "always_off":
		root = sdktrace.NeverSample()
	case "traceidratio":
		root = sdktrace.TraceIDRatioBased(s.ratio())
	default:
		if s.sampler != "" {
			s.passOver(samplerName, s.sampler, "always_on, always_off or traceidratio, or one of these after parentbased_")
		}

		root, parent = sdktrace.AlwaysSample(), true
	}

	if parent {
		root = sdktrace.ParentBased(root)
	}

	return withoutErrands{root}
}

// ratio is the share of traces that OTEL_TRACES_SAMPLER_ARG names.
func (s *settings) ratio() float64 {
	if s.samplerArgument == "" {
		return 1
	}

	ratio, err := strconv.ParseFloat(s.samplerArgument, 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) {
		s.passOver(samplerArgumentName, s.samplerArgument, "a number from 0 to 1")

		return 1
	}

	return ratio
}

// withoutErrands leaves out traces that begin with a process calling another on its own account: looking for work and for
// each other's health, many times a minute.
type withoutErrands struct{ sdktrace.Sampler }

func (s withoutErrands) ShouldSample(parameters sdktrace.SamplingParameters) sdktrace.SamplingResult {
	parent := trace.SpanContextFromContext(parameters.ParentContext)
	if parent.IsValid() || parameters.Kind != trace.SpanKindClient {
		return s.Sampler.ShouldSample(parameters)
	}

	return sdktrace.SamplingResult{Decision: sdktrace.Drop, Tracestate: parent.TraceState()}
}
