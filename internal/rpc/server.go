// Package rpc is how a gRPC server and a gRPC client are made in Serin: mutual TLS with SPIFFE identities, methods denied
// by default, validation, deadlines, one kind of error, and telemetry.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/xds"

	"github.com/serinhq/serin/internal/telemetry"
)

// What servers and clients agree on.
const (
	// DefaultTimeout is the deadline of a unary RPC that comes without one.
	DefaultTimeout = 30 * time.Second
	// DefaultMaxMessageBytes is the largest message in either direction.
	DefaultMaxMessageBytes = 8 << 20
	// DefaultStopTimeout is how long open RPCs may go on after a server was told to stop.
	DefaultStopTimeout = 5 * time.Second

	keepaliveTime     = 30 * time.Second
	keepaliveTimeout  = 10 * time.Second
	keepaliveMinTime  = 10 * time.Second // what clients are allowed; grpc-go clients never ping more often
	connectionTimeout = 10 * time.Second // for the handshake of an accepted connection
)

// ServerConfig says what a server is. Zero values are the defaults, but for Credentials and Policy.
type ServerConfig struct {
	// Credentials are the server's certificate and whom it trusts.
	Credentials Credentials
	// Namespace is the one that callers must be of; empty means the server's own.
	Namespace string
	// Policy says who may call what. Health and reflection are added to it.
	Policy Policy
	// Telemetry defaults to one that discards.
	Telemetry *telemetry.Telemetry
	// Traffic records calls out of the mesh; nil where a proxy does. It needs Mesh.
	Traffic *Traffic
	// DefaultTimeout is the deadline of unary RPCs that come without one; 0 means 30 s.
	DefaultTimeout time.Duration
	// MaxMessageBytes is the largest request; 0 means 8 MiB.
	MaxMessageBytes int
	// StopTimeout is how long open RPCs may go on once Run's context has ended; 0 means 5 s.
	StopTimeout time.Duration
	// Mesh makes a server whose listener, certificates and callers the control plane configures, as the bootstrap says
	// that the process began with (GRPC_XDS_BOOTSTRAP). Its listeners must be TCP.
	Mesh bool
}

// grpcServer is what servers within and without the mesh have in common.
type grpcServer interface {
	reflection.GRPCServer

	Serve(listener net.Listener) error
	GracefulStop()
	Stop()
}

// Server is a gRPC server with health and reflection.
type Server struct {
	grpcServer

	// Health is grpc.health.v1; it begins as SERVING.
	Health *health.Server

	state       *servingState
	stopTimeout time.Duration
}

// NewServer makes a server; services are registered on it afterwards.
func NewServer(config ServerConfig) (*Server, error) {
	config = config.withDefaults()

	own, err := config.Credentials.Identity()
	if err != nil {
		return nil, err
	}

	if config.Namespace != "" {
		own.Namespace = config.Namespace
	}

	policy, err := Merge(basicPolicy(), config.meshPolicy(), config.Policy)
	if err != nil {
		return nil, err
	}

	server := &Server{Health: health.NewServer(), state: newServingState(config.Mesh), stopTimeout: config.StopTimeout}

	server.grpcServer, err = config.transport(server.state, config.options(authorizer{own: own, policy: policy}))
	if err != nil {
		return nil, err
	}

	grpc_health_v1.RegisterHealthServer(server, server.Health)
	reflection.Register(server)

	if config.Mesh {
		if err := registerMeshStatus(server); err != nil {
			return nil, err
		}
	}

	return server, nil
}

// transport makes the server that connections arrive at.
func (c ServerConfig) transport(state *servingState, options []grpc.ServerOption) (grpcServer, error) {
	switch {
	case c.Mesh && c.Credentials.atSidecar():
		return nil, errors.New("making a server: beside a sidecar the mesh is not gRPC's affair: Mesh must be false")
	case c.Credentials.atSidecar():
		return grpc.NewServer(append(options, grpc.Creds(besideEnvoy{}))...), nil
	case !c.Mesh:
		return grpc.NewServer(append(options, grpc.Creds(credentials.NewTLS(c.Credentials.ServerTLS(nil))))...), nil
	}

	if err := checkBootstrap(os.Getenv); err != nil {
		return nil, fmt.Errorf("making a server of the mesh: %w", err)
	}

	secured, err := meshServerCredentials()
	if err != nil {
		return nil, err
	}

	server, err := xds.NewGRPCServer(append(options, grpc.Creds(secured), xds.ServingModeCallback(state.changed))...)
	if err != nil {
		return nil, fmt.Errorf("making a server of the mesh: %w", err)
	}

	return server, nil
}

func (c ServerConfig) withDefaults() ServerConfig {
	if c.Telemetry == nil {
		c.Telemetry = telemetry.Discard()
	}

	if c.DefaultTimeout == 0 {
		c.DefaultTimeout = DefaultTimeout
	}

	if c.MaxMessageBytes == 0 {
		c.MaxMessageBytes = DefaultMaxMessageBytes
	}

	if c.StopTimeout == 0 {
		c.StopTimeout = DefaultStopTimeout
	}

	return c
}

func (c ServerConfig) options(auth authorizer) []grpc.ServerOption {
	answer := answerer{logger: c.Telemetry.Logger}
	panics := recovery.WithRecoveryHandlerContext(panicHandler(c.Telemetry.Logger))

	options := []grpc.ServerOption{
		grpc.StatsHandler(otelgrpc.NewServerHandler(serverOtel(c.Telemetry)...)),
		grpc.MaxRecvMsgSize(c.MaxMessageBytes),
		grpc.ConnectionTimeout(connectionTimeout),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveMinTime, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(
			auth.identifyUnary, answer.unary, recovery.UnaryServerInterceptor(panics),
			auth.unary, validateUnary, deadline(c.DefaultTimeout),
		),
		grpc.ChainStreamInterceptor(
			auth.identifyStream, answer.stream, recovery.StreamServerInterceptor(panics),
			auth.stream, validateStream,
		),
	}
	if c.Traffic != nil && c.Mesh {
		options = append(options, grpc.StatsHandler(serverTraffic{traffic: c.Traffic}))
	}

	return options
}

// Run serves on the listener until ctx ends; then it says NOT_SERVING, takes nothing new, gives open RPCs StopTimeout
// to end, and ends them. It returns nil after an orderly stop.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()

	select {
	case err := <-served:
		return wrapServe(err)
	case <-ctx.Done():
		s.Shutdown(s.stopTimeout)

		return wrapServe(<-served)
	}
}

func wrapServe(err error) error {
	if err != nil {
		return fmt.Errorf("serving gRPC: %w", err)
	}

	return nil
}

// Shutdown stops taking RPCs, waits for the open ones for as long as the timeout says, and ends the rest.
func (s *Server) Shutdown(timeout time.Duration) {
	s.Health.Shutdown()

	force := time.AfterFunc(timeout, s.Stop)
	defer force.Stop()

	s.GracefulStop()
}
