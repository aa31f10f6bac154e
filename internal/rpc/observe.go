package rpc

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/telemetry"
)

func serverOtel(t *telemetry.Telemetry) []otelgrpc.Option {
	return []otelgrpc.Option{
		otelgrpc.WithMeterProvider(t.MeterProvider),
		otelgrpc.WithTracerProvider(t.TracerProvider),
		otelgrpc.WithPropagators(t.Propagator),
	}
}

// clientOtel carries trace ids on. The server's side measures; measuring each call twice costs more than it tells.
func clientOtel(t *telemetry.Telemetry) []otelgrpc.Option {
	return []otelgrpc.Option{
		otelgrpc.WithMeterProvider(noop.NewMeterProvider()),
		otelgrpc.WithTracerProvider(t.TracerProvider),
		otelgrpc.WithPropagators(t.Propagator),
	}
}

// logCall writes one line about a finished RPC, if its outcome is worth one at the logger's level.
func logCall(ctx context.Context, logger *slog.Logger, method string, started time.Time, err error) {
	code := codes.OK
	if err != nil {
		code = fault.CodeOf(err)
	}

	level := levelOf(code)
	if !logger.Enabled(ctx, level) {
		return
	}

	attrs := []slog.Attr{
		slog.String("method", method), slog.String("code", code.String()),
		slog.Duration("duration", time.Since(started)),
	}
	if id, ok := Peer(ctx); ok {
		attrs = append(attrs, slog.String("peer", id.String()))
	}

	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}

	logger.LogAttrs(ctx, level, "rpc", attrs...)
}

// levelOf: answers that are part of normal work are details; refusals and failures are worth a look.
func levelOf(code codes.Code) slog.Level {
	switch code {
	case codes.Unknown, codes.Internal, codes.DataLoss:
		return slog.LevelError
	case codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented, codes.ResourceExhausted:
		return slog.LevelWarn
	case codes.DeadlineExceeded, codes.Unavailable, codes.InvalidArgument, codes.OutOfRange:
		return slog.LevelInfo
	case codes.OK, codes.Canceled, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition, codes.Aborted:
		return slog.LevelDebug
	default:
		return slog.LevelError
	}
}
