package door

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

// actorHeader tells the controller on whose behalf a call is, as the gateway does.
const actorHeader = "serin-actor"

// guard lets those in who may.
type guard struct {
	users  authenticator
	rights authorizer
	// caller is what the controller is told of everyone: a door speaks for people, as the gateway does.
	caller rpc.Identity
	logger *slog.Logger
}

// admit returns a context in which the user acts, and nothing of what a client says of itself is left.
func (g *guard) admit(ctx context.Context, method string, request any) (context.Context, error) {
	user, err := g.users.user(ctx)
	if err != nil {
		return nil, err
	}

	agent := ""
	if named, ok := request.(interface{ GetAgent() string }); ok {
		agent = named.GetAgent()
	}

	if err := g.rights.check(ctx, user, method, agent); err != nil {
		return nil, err
	}

	return rpc.ContextWithPeer(metadata.NewIncomingContext(ctx, metadata.Pairs(actorHeader, user.Username)), g.caller), nil
}

func (g *guard) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if _, has := ctx.Deadline(); !has {
		limited, cancel := context.WithTimeout(ctx, rpc.DefaultTimeout)
		defer cancel()

		ctx = limited
	}

	ctx, err := g.admit(ctx, info.FullMethod, request)
	if err != nil {
		return nil, err
	}

	if err := rpc.Validate(request); err != nil {
		return nil, err
	}

	return handler(ctx, request)
}

func (g *guard) stream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return handler(server, &guardedStream{ServerStream: stream, guard: g, method: info.FullMethod, ctx: stream.Context()})
}

// guardedStream admits its caller with the request: that names the agent.
type guardedStream struct {
	grpc.ServerStream

	guard  *guard
	method string
	ctx    context.Context
}

// Context is the user's once the request has come.
func (s *guardedStream) Context() context.Context { return s.ctx }

// RecvMsg receives the request, and refuses it if the user may not.
func (s *guardedStream) RecvMsg(message any) error {
	if err := s.ServerStream.RecvMsg(message); err != nil {
		return err
	}

	ctx, err := s.guard.admit(s.ServerStream.Context(), s.method, message)
	if err != nil {
		return err
	}

	s.ctx = ctx

	return rpc.Validate(message)
}

func (g *guard) answerUnary(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (response any, err error) {
	started := time.Now()

	defer func() { err = g.answer(ctx, info.FullMethod, started, recover(), err) }()

	return handler(ctx, request)
}

func (g *guard) answerStream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	started := time.Now()

	defer func() { err = g.answer(stream.Context(), info.FullMethod, started, recover(), err) }()

	return handler(server, stream)
}

// answer makes an error a status with details, and notes refusals and failures. A panic is one, and stays in here.
func (g *guard) answer(ctx context.Context, method string, started time.Time, panicked any, err error) error {
	if panicked != nil {
		g.logger.ErrorContext(ctx, "panic in an RPC", "panic", panicked, "stack", string(debug.Stack()))

		err = fault.New(codes.Internal, "PANIC", "the controller met a bug while it served this call; its log has the details")
	}

	if err == nil {
		return nil
	}

	found := fault.From(err)

	g.logger.Log(ctx, levelOf(found.Code), "rpc", "method", method, "code", found.Code.String(), "duration", time.Since(started), "error", err)

	return found.GRPCStatus().Err()
}

// levelOf: what is part of normal work is a detail; refusals are worth a look.
func levelOf(code codes.Code) slog.Level {
	switch code {
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return slog.LevelError
	case codes.Unauthenticated, codes.PermissionDenied, codes.Unavailable, codes.DeadlineExceeded, codes.Unimplemented,
		codes.ResourceExhausted:
		return slog.LevelWarn
	case codes.OK, codes.Canceled, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition,
		codes.Aborted, codes.OutOfRange:
	}

	return slog.LevelDebug
}
