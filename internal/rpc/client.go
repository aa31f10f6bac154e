package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/telemetry"
)

// ClientConfig says what a client is. Zero values are the defaults, but for Credentials.
type ClientConfig struct {
	// Credentials are the client's certificate and whom it trusts.
	Credentials Credentials
	// Telemetry defaults to one that discards.
	Telemetry *telemetry.Telemetry
	// Traffic records calls into the mesh; nil where a proxy does.
	Traffic *Traffic
	// UnaryTimeout is the deadline of unary RPCs whose context has none; 0 means 30 s.
	UnaryTimeout time.Duration
	// MaxMessageBytes is the largest answer; 0 means 8 MiB.
	MaxMessageBytes int
	// DialOptions are added to the connection's own.
	DialOptions []grpc.DialOption
}

// Dial makes a connection, without waiting for it, to a server that must prove to be peer. RPCs wait for the server to
// be there, so give each a deadline; unary ones get UnaryTimeout if they have none. Unary RPCs of ContextService, which
// are idempotent, are tried again on UNAVAILABLE, as long as that stays a small share of the calls. Calls are routed as
// [WithRoute] says.
//
// A target that [Target] made is resolved and secured by the mesh: the control plane says who its servers must prove to
// be, instead of peer. The mesh's routes may try calls again besides, idempotent or not: twice if a service has no
// VirtualService, never if its route says attempts: 0. That counts for the same share.
//
// With credentials of a sidecar the connection is plain, and peer is the sidecar's affair: see [SidecarTarget].
func Dial(target string, peer Identity, config ClientConfig) (*grpc.ClientConn, error) {
	config = config.withDefaults()

	if _, err := config.Credentials.Identity(); err != nil {
		return nil, err
	}

	transport, err := config.transport(target, peer)
	if err != nil {
		return nil, err
	}

	options := append(append(config.options(target), transport...), config.DialOptions...)
	if config.Traffic != nil && isMesh(target) {
		options = append(options, grpc.WithStatsHandler(clientTraffic{traffic: config.Traffic, peer: peer}))
	}

	connection, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, fmt.Errorf("dialing %s at %q: %w", peer, target, err)
	}

	return connection, nil
}

// transport is how servers are found, trusted and waited for.
func (c ClientConfig) transport(target string, peer Identity) ([]grpc.DialOption, error) {
	if !isMesh(target) {
		secured := insecure.NewCredentials()
		if !c.Credentials.atSidecar() {
			secured = credentials.NewTLS(c.Credentials.ClientTLS(peer))
		}

		return []grpc.DialOption{
			grpc.WithTransportCredentials(secured),
			grpc.WithDefaultServiceConfig(serviceConfig()),
			grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
		}, nil
	}

	if c.Credentials.atSidecar() {
		return nil, fmt.Errorf("dialing %q: beside a sidecar the mesh is not gRPC's affair: dial a dns target", target)
	}

	if err := checkBootstrap(os.Getenv); err != nil {
		return nil, fmt.Errorf("dialing %q: %w", target, err)
	}

	secured, err := meshClientCredentials()
	if err != nil {
		return nil, err
	}

	return []grpc.DialOption{grpc.WithTransportCredentials(secured)}, nil
}

func (c ClientConfig) options(target string) []grpc.DialOption {
	send := sender{mesh: isMesh(target), budget: newBudget()}

	return []grpc.DialOption{
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(clientOtel(c.Telemetry)...)),
		grpc.WithStatsHandler(attemptCounter{}),
		grpc.WithConnectParams(connectParams()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithIdleTimeout(0), // leaving idle would cost the next RPC a handshake
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(c.MaxMessageBytes),
			grpc.MaxRetryRPCBufferSize(c.MaxMessageBytes),
		),
		grpc.WithChainUnaryInterceptor(clientDeadline(c.UnaryTimeout), send.unary),
		grpc.WithChainStreamInterceptor(send.stream),
	}
}

func (c ClientConfig) withDefaults() ClientConfig {
	if c.Telemetry == nil {
		c.Telemetry = telemetry.Discard()
	}

	if c.UnaryTimeout == 0 {
		c.UnaryTimeout = DefaultTimeout
	}

	if c.MaxMessageBytes == 0 {
		c.MaxMessageBytes = DefaultMaxMessageBytes
	}

	return c
}

// connectParams make recovery quick: a restarting process on the same machine is back within a second or two. Where the
// listening socket outlives the process, connecting succeeds at once and the handshake hangs until the new process
// accepts; the connect timeout bounds that.
func connectParams() grpc.ConnectParams {
	return grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
		MinConnectTimeout: 2 * time.Second,
	}
}

func clientDeadline(timeout time.Duration) grpc.UnaryClientInterceptor {
	return func(
		ctx context.Context, method string, request, reply any, connection *grpc.ClientConn,
		invoke grpc.UnaryInvoker, options ...grpc.CallOption,
	) error {
		if _, has := ctx.Deadline(); has {
			return invoke(ctx, method, request, reply, connection, options...)
		}

		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()

		return invoke(ctx, method, request, reply, connection, options...)
	}
}

// serviceConfig is gRPC's JSON: spread over all addresses of a target, and try idempotent methods again.
func serviceConfig() string {
	type name struct {
		Service string `json:"service"`
		Method  string `json:"method"`
	}

	service := &contextv1.ContextService_ServiceDesc
	names := make([]name, len(service.Methods))

	for i, method := range service.Methods {
		names[i] = name{service.ServiceName, method.MethodName}
	}

	config, err := json.Marshal(map[string]any{
		"loadBalancingConfig": []any{map[string]any{"round_robin": struct{}{}}},
		// Half of the tokens may be used up; failures take one, and successes give back a part of one.
		"retryThrottling": map[string]any{"maxTokens": 2 * retryBurst, "tokenRatio": retryRatio},
		"methodConfig": []any{map[string]any{
			"name": names,
			"retryPolicy": map[string]any{
				"maxAttempts": 5, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 2,
				"retryableStatusCodes": []string{"UNAVAILABLE"},
			},
		}},
	})
	if err != nil {
		panic(err) // a constant does not stop to marshal
	}

	return string(config)
}
