package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

func newLogHandler(options Options) slog.Handler {
	handlerOptions := &slog.HandlerOptions{Level: options.Level}

	var handler slog.Handler = slog.NewJSONHandler(options.Writer, handlerOptions)
	if options.Text {
		handler = slog.NewTextHandler(options.Writer, handlerOptions)
	}

	if options.Service != "" {
		handler = handler.WithAttrs([]slog.Attr{slog.String("service", options.Service)})
	}

	return traceHandler{handler}
}

// traceHandler adds the ids of the context's span to each record.
type traceHandler struct{ next slog.Handler }

func (h traceHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h traceHandler) Handle(ctx context.Context, record slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		record = record.Clone()
		record.AddAttrs(
			slog.String("trace_id", span.TraceID().String()),
			slog.String("span_id", span.SpanID().String()),
		)
	}

	return h.next.Handle(ctx, record) //nolint:wrapcheck // a handler in a chain hands on what the next one says
}

func (h traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traceHandler{h.next.WithAttrs(attrs)}
}

func (h traceHandler) WithGroup(name string) slog.Handler {
	return traceHandler{h.next.WithGroup(name)}
}
