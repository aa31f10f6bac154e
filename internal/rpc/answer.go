package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

// answerer makes every handler's error a status with details, and logs how each RPC ended.
type answerer struct{ logger *slog.Logger }

func (a answerer) unary(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	started := time.Now()
	response, err := handler(ctx, request)

	logCall(ctx, a.logger, info.FullMethod, started, err)

	if err != nil {
		return nil, fault.From(err).GRPCStatus().Err()
	}

	return response, nil
}

func (a answerer) stream(
	server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler,
) error {
	started := time.Now()
	err := handler(server, stream)

	logCall(stream.Context(), a.logger, info.FullMethod, started, err)

	if err != nil {
		return fault.From(err).GRPCStatus().Err()
	}

	return nil
}

// panicHandler keeps the process alive; the caller learns only that it happened, the log learns where.
func panicHandler(logger *slog.Logger) func(context.Context, any) error {
	return func(ctx context.Context, value any) error {
		logger.ErrorContext(ctx, "panic in an RPC", "panic", fmt.Sprint(value), "stack", string(debug.Stack()))

		return fault.New(codes.Internal, "PANIC", "the server met a bug while it served this call; its log has the details")
	}
}

// deadline gives unary RPCs that come without a deadline the default one.
func deadline(timeout time.Duration) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if _, has := ctx.Deadline(); has {
			return handler(ctx, request)
		}

		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()

		return handler(ctx, request)
	}
}
