package gateway

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/serinhq/serin/internal/telemetry"
)

// spanOf begins the span of a request from outside, within the trace that the client is in, if it says so. Its name is
// known only at its end.
func (s *Service) spanOf(ctx context.Context, told propagation.TextMapCarrier) (context.Context, trace.Span) {
	ctx = s.cfg.Telemetry.Propagator.Extract(ctx, told)

	return s.cfg.Telemetry.Tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer)) //nolint:spancheck // endREST or endRPC ends it
}

// endREST ends the span of a REST request. Routes are templates: paths would be as many names as there are conversations.
func endREST(span trace.Span, known *call, method string, status int) {
	span.SetName(known.route)
	span.SetAttributes(telemetry.HTTPMethod.String(method), telemetry.HTTPStatus.Int(status))

	if _, template, found := strings.Cut(known.route, " "); found {
		span.SetAttributes(telemetry.HTTPRoute.String(template))
	}

	if status >= http.StatusInternalServerError {
		telemetry.Failed(span, httpCode(status))
	}

	span.End()
}

// endRPC ends the span of a call over gRPC.
func endRPC(span trace.Span, method string, code codes.Code) {
	span.SetName(strings.TrimPrefix(method, "/"))
	span.SetAttributes(telemetry.RPCSystem.String("grpc"), telemetry.RPCMethod.String(strings.TrimPrefix(method, "/")))

	switch code { //nolint:exhaustive // the others are the client's affair
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
		telemetry.Failed(span, codeName(code))
	default:
	}

	span.End()
}

// metadataCarrier reads a trace context from gRPC's metadata.
type metadataCarrier metadata.MD

var _ propagation.TextMapCarrier = metadataCarrier{}

func (c metadataCarrier) Get(key string) string {
	if values := metadata.MD(c).Get(key); len(values) > 0 {
		return values[0]
	}

	return ""
}

func (c metadataCarrier) Set(key, value string) { metadata.MD(c).Set(key, value) }

func (c metadataCarrier) Keys() []string { return slices.Collect(maps.Keys(c)) }
