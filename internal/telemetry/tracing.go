package telemetry

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// newTracerProvider makes trace ids for logs and for other processes. Without an exporter no span is recorded.
func (s *settings) newTracerProvider(options Options, origin *resource.Resource) (*sdktrace.TracerProvider, error) {
	if len(s.traces) == 0 {
		return sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()), sdktrace.WithResource(origin)), nil
	}

	all := []sdktrace.TracerProviderOption{sdktrace.WithSampler(s.newSampler()), sdktrace.WithResource(origin)}

	var errs []error

	for _, name := range s.traces {
		exporter, err := s.newSpanExporter(name, options.Writer)
		errs = append(errs, err)
		all = append(all, sdktrace.WithBatcher(exporter))
	}

	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	return sdktrace.NewTracerProvider(all...), nil
}

// traceparentKey is W3C's name of a trace context.
const traceparentKey = "traceparent"

// Traceparent is the context's span as W3C writes it, to be kept where no header is; empty if there is none.
func Traceparent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)

	return carrier[traceparentKey]
}

// Rejoin returns a context within the trace that a traceparent names, for work that goes on after what it began with has
// ended. A context that is in that trace stays as it is, and so does any if the traceparent is not valid.
func Rejoin(ctx context.Context, traceparent string) context.Context {
	joined := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{traceparentKey: traceparent})

	kept := trace.SpanContextFromContext(joined)
	if !kept.IsValid() || kept.TraceID() == trace.SpanContextFromContext(ctx).TraceID() {
		return ctx
	}

	return trace.ContextWithRemoteSpanContext(ctx, kept)
}

// Failed marks a span as one of something that failed, with the error's class. A class is a word; messages may hold
// content, and have their place in the log of events.
func Failed(span trace.Span, class string) {
	span.SetStatus(codes.Error, class)
	span.SetAttributes(ErrorType.String(class))
}
