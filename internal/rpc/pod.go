package rpc

import (
	"crypto/tls"
	"fmt"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/serinhq/serin/internal/telemetry"
)

// NewPodServer makes a gRPC server for its own pod, where nobody is asked who they are: whoever accepts connections lets none
// but those in who may call everything. It is an http.Handler, so that it can share a port with HTTP. Services are
// registered on it afterwards.
func NewPodServer(recorded *telemetry.Telemetry) *grpc.Server {
	config := ServerConfig{Telemetry: recorded}.withDefaults()
	answer := answerer{logger: config.Telemetry.Logger}
	panics := recovery.WithRecoveryHandlerContext(panicHandler(config.Telemetry.Logger))

	server := grpc.NewServer(
		grpc.StatsHandler(otelgrpc.NewServerHandler(serverOtel(config.Telemetry)...)),
		grpc.MaxRecvMsgSize(config.MaxMessageBytes),
		grpc.ChainUnaryInterceptor(
			answer.unary, recovery.UnaryServerInterceptor(panics), validateUnary, deadline(config.DefaultTimeout)),
		grpc.ChainStreamInterceptor(answer.stream, recovery.StreamServerInterceptor(panics), validateStream),
	)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	reflection.Register(server)

	return server
}

// DialPod makes a connection to a server of the own pod: plain without TLS. RPCs fail at once while nothing listens there.
func DialPod(target string, secured *tls.Config, recorded *telemetry.Telemetry) (*grpc.ClientConn, error) {
	config := ClientConfig{Telemetry: recorded}.withDefaults()

	transport := insecure.NewCredentials()
	if secured != nil {
		transport = credentials.NewTLS(secured)
	}

	connection, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(transport),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(clientOtel(config.Telemetry)...)),
		grpc.WithConnectParams(connectParams()),
		grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(config.MaxMessageBytes)),
		grpc.WithChainUnaryInterceptor(clientDeadline(config.UnaryTimeout)),
	)
	if err != nil {
		return nil, fmt.Errorf("dialing %q: %w", target, err)
	}

	return connection, nil
}
