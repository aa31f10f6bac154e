package door

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"k8s.io/client-go/kubernetes"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/rpc"
)

const (
	// DefaultAddress is on the loopback address, which a kubelet forwards to.
	DefaultAddress = "127.0.0.1:9443"

	keepaliveTime    = 30 * time.Second
	keepaliveMinTime = 10 * time.Second
	handshakeTimeout = 10 * time.Second
)

// Config is what a Door needs. Rollouts, Kubernetes, Namespace and Pod are required.
type Config struct {
	// Rollouts answers. It is told of each caller as of one for whom the gateway speaks.
	Rollouts rolloutv1.RolloutServiceServer
	// Kubernetes knows users and rights, and keeps the announcement.
	Kubernetes kubernetes.Interface
	// Namespace is the controller's, and its agents'.
	Namespace string
	// Pod is the name of this process's pod.
	Pod string
	// ListenAddress defaults to DefaultAddress.
	ListenAddress string
	// TrustDomain is of the identity under which callers are passed on; default cluster.local.
	TrustDomain string
	// Logger defaults to one that discards.
	Logger *slog.Logger
	// Listener is used in place of ListenAddress, for tests.
	Listener net.Listener
}

// Door serves RolloutService to the cluster's users.
type Door struct {
	config      Config
	certificate tls.Certificate
	pem         string
}

// New makes a Door with a certificate of its own.
func New(config Config) (*Door, error) {
	switch {
	case config.Rollouts == nil:
		return nil, errors.New("door: Config.Rollouts is required")
	case config.Kubernetes == nil:
		return nil, errors.New("door: Config.Kubernetes is required")
	case config.Namespace == "":
		return nil, errors.New("door: Config.Namespace is required: the controller's namespace")
	case config.Pod == "":
		return nil, errors.New("door: Config.Pod is required: the name of the controller's pod")
	}

	config.ListenAddress = cmp.Or(config.ListenAddress, DefaultAddress)
	config.TrustDomain = cmp.Or(config.TrustDomain, rpc.DefaultTrustDomain)

	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}

	certificate, text, err := newCertificate(ServerName(config.Namespace), time.Now())
	if err != nil {
		return nil, err
	}

	return &Door{config: config, certificate: certificate, pem: text}, nil
}

// Run announces the door and serves until ctx ends: the one who leads runs it while it leads. It is called once.
func (d *Door) Run(ctx context.Context) error {
	listener, err := d.listen(ctx)
	if err != nil {
		return err
	}

	address, err := netip.ParseAddrPort(listener.Addr().String())
	if err != nil {
		return errors.Join(fmt.Errorf("the door's address: %w", err), listener.Close())
	}

	server := d.server()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	announced := make(chan struct{})

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	go func() {
		defer close(announced)

		announcer{
			config: &d.config, announcement: Announcement{Pod: d.config.Pod, Port: address.Port(), Certificate: d.pem},
		}.run(ctx)
	}()

	select {
	case err = <-served:
	case <-ctx.Done():
		stop(server)

		err = <-served
	}

	cancel()
	<-announced

	if err != nil {
		return fmt.Errorf("serve the door: %w", err)
	}

	return nil
}

func (d *Door) listen(ctx context.Context) (net.Listener, error) {
	if d.config.Listener != nil {
		return d.config.Listener, nil
	}

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.config.ListenAddress)
	if err != nil {
		return nil, fmt.Errorf("the door at %s: %w", d.config.ListenAddress, err)
	}

	return listener, nil
}

// server takes calls over TLS alone. A client's certificate is asked for, and verified by [authenticator]: a handshake that
// fails could not say why.
func (d *Door) server() *grpc.Server {
	guard := &guard{
		users: newAuthenticator(d.config.Kubernetes), rights: authorizer{d.config.Kubernetes, d.config.Namespace},
		caller: rpc.Identity{TrustDomain: d.config.TrustDomain, Namespace: d.config.Namespace, Name: rpc.Gateway},
		logger: d.config.Logger,
	}

	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(&tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{d.certificate}, ClientAuth: tls.RequestClientCert,
		})),
		grpc.MaxRecvMsgSize(rpc.DefaultMaxMessageBytes),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveMinTime, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(guard.answerUnary, guard.unary),
		grpc.ChainStreamInterceptor(guard.answerStream, guard.stream),
	)
	rolloutv1.RegisterRolloutServiceServer(server, d.config.Rollouts)

	return server
}

// stop gives open calls a while to end.
func stop(server *grpc.Server) {
	force := time.AfterFunc(rpc.DefaultStopTimeout, server.Stop)
	defer force.Stop()

	server.GracefulStop()
}
