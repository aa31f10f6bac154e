package gateway

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	"github.com/serinhq/serin/internal/fault"
)

// NewPublicServer makes the gRPC server for clients from outside: ConversationService with bearer tokens in the metadata
// entry authorization, health and reflection without. Without a TLS configuration it is plain text.
func (s *Service) NewPublicServer(config *tls.Config) *grpc.Server {
	transport := insecure.NewCredentials()
	if config != nil {
		transport = credentials.NewTLS(config)
	}

	server := grpc.NewServer(
		grpc.Creds(transport),
		grpc.MaxRecvMsgSize(int(s.cfg.Door.MaxBodyBytes)),
		grpc.MaxConcurrentStreams(1000),
		grpc.MaxHeaderListSize(64<<10),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(s.observeUnary),
		grpc.ChainStreamInterceptor(s.observeStream),
	)
	s.Register(server)
	reflection.Register(server)

	checks := health.NewServer()
	checks.SetServingStatus(conversationv1.ConversationService_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_SERVING)
	healthv1.RegisterHealthServer(server, checks)
	context.AfterFunc(s.draining, checks.Shutdown)

	return server
}

func (s *Service) observeUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (resp any, err error) {
	ctx, finish := s.observeRPC(ctx, info.FullMethod)
	defer func() { finish(recover(), &err) }()

	_ = grpc.SetHeader(ctx, metadata.Pairs(requestIDHeader, callOf(ctx).requestID)) // it fails only outside of an RPC

	return handle(ctx, req)
}

func (s *Service) observeStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	ctx, finish := s.observeRPC(stream.Context(), info.FullMethod)
	defer func() { finish(recover(), &err) }()

	_ = stream.SetHeader(metadata.Pairs(requestIDHeader, callOf(ctx).requestID)) // it fails only after the header was sent

	return handle(srv, observedStream{ServerStream: stream, ctx: ctx})
}

// observedStream is a stream with the call's context.
type observedStream struct {
	grpc.ServerStream

	ctx context.Context
}

func (s observedStream) Context() context.Context { return s.ctx }

// observeRPC gives a call an id and a span; finish logs and counts it, and turns a panic into an error.
func (s *Service) observeRPC(ctx context.Context, method string) (context.Context, func(panicCause any, err *error)) {
	told, _ := metadata.FromIncomingContext(ctx)
	began := time.Now()
	known := &call{requestID: requestID(metadataCarrier(told).Get(requestIDHeader)), route: method}
	ctx, span := s.spanOf(withCall(ctx, known), metadataCarrier(told))

	return ctx, func(panicCause any, err *error) {
		if panicCause != nil {
			*err = s.outward(ctx, panicked(panicCause))
		}

		took, code := time.Since(began), codes.OK
		if *err != nil {
			code = fault.CodeOf(*err)
		}

		endRPC(span, method, code)
		s.metrics.request(ctx, requestKey{"grpc", method, codeName(code)}, took)
		s.log.LogAttrs(ctx, slog.LevelInfo, "request", append(known.attrs(),
			slog.String("method", method), slog.String("code", codeName(code)), slog.Duration("took", took))...)
	}
}
