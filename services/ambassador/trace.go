package ambassador

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/serinhq/serin/internal/telemetry"
)

// traced serves requests within the trace that the client is in. Nothing of a trace goes on to providers.
func (s *Service) traced(route string, next http.HandlerFunc) (string, http.HandlerFunc) {
	return route, func(writer http.ResponseWriter, request *http.Request) {
		ctx := s.cfg.Telemetry.Propagator.Extract(request.Context(), propagation.HeaderCarrier(request.Header))

		ctx, span := s.cfg.Telemetry.Tracer.Start(ctx, route, trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(telemetry.HTTPMethod.String(request.Method), telemetry.HTTPRoute.String(request.URL.Path)))
		defer span.End()

		next(writer, request.WithContext(ctx))
	}
}

// beginTry begins the span of one try at one provider. The client's span tells of tokens: a sum over all spans that did
// so would count them twice.
func (t *try) beginTry(ctx context.Context) (context.Context, trace.Span) {
	ctx, span := t.service.cfg.Telemetry.Tracer.Start(ctx, "try "+t.target.provider.Name, trace.WithSpanKind(trace.SpanKindClient))
	if !span.IsRecording() {
		return ctx, span
	}

	span.SetAttributes(telemetry.ProviderName.String(t.target.provider.Name), telemetry.RequestModel.String(t.target.model),
		telemetry.ProviderTry.Int(t.number))

	if base, err := url.Parse(t.target.provider.BaseURL); err == nil {
		span.SetAttributes(telemetry.ServerAddress.String(base.Hostname()))
	}

	return ctx, span
}

// endTry says what the try came to.
func endTry(span trace.Span, failed *failure, waited time.Duration) {
	if span.IsRecording() {
		span.SetAttributes(telemetry.ProviderQueue.Float64(waited.Seconds()))

		if failed != nil {
			telemetry.Failed(span, string(failed.class))
		}

		if failed != nil && failed.status != 0 {
			span.SetAttributes(telemetry.HTTPStatus.Int(failed.status))
		}
	}

	span.End()
}
