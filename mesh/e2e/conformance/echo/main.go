// Command echo is the workload of package conformance: a bare server or client of grpc-go in the mesh, which does over
// gRPC what it is told over HTTP. It uses nothing of internal/rpc on purpose, which sends calls again and refuses callers
// by itself: what is looked at is the control plane alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/identity"
)

// settings are who a process is.
type settings struct {
	id rpc.Identity
	// name is the process's own, revision its label.
	name, revision, ip, labels string
	// discovery is the control plane; directory holds the certificate.
	discovery, directory string
	// token and root are for istiod, which is asked for the certificate; empty where that is in place already.
	token, root string
	// serve and control are addresses; without serve it is a client only.
	serve, control string
}

func main() {
	var s settings

	s.id.TrustDomain = rpc.DefaultTrustDomain
	flag.StringVar(&s.id.Namespace, "namespace", "", "namespace of the service account")
	flag.StringVar(&s.id.Name, "account", "", "service account")
	flag.StringVar(&s.name, "name", "", "name of the process")
	flag.StringVar(&s.revision, "revision", "", "revision of the process")
	flag.StringVar(&s.ip, "ip", os.Getenv("POD_IP"), "address of the process")
	flag.StringVar(&s.labels, "labels", "", "labels, such as app=echo,revision=a")
	flag.StringVar(&s.discovery, "discovery", "", "host:port of the control plane")
	flag.StringVar(&s.directory, "directory", "", "directory of the certificate")
	flag.StringVar(&s.token, "token", "", "file with a token for istiod")
	flag.StringVar(&s.root, "root", "", "file with istiod's root certificate")
	flag.StringVar(&s.serve, "serve", "", "address to serve gRPC on")
	flag.StringVar(&s.control, "control", "127.0.0.1:0", "address to serve HTTP on")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := s.run(ctx)

	stop()

	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run works until the context ends.
func (s settings) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)

	if err := s.certify(ctx, group); err != nil {
		return err
	}

	if err := s.writeBootstrap(); err != nil {
		return err
	}

	workload, err := newWorkload(ctx, s)
	if err != nil {
		return err
	}

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.control)
	if err != nil {
		return fmt.Errorf("listen for orders: %w", err)
	}

	served, err := workload.serve(ctx, group)
	if err != nil {
		return err
	}

	fmt.Println(listener.Addr(), served) // who started it reads where it is

	server := &http.Server{Handler: workload.orders(), ReadHeaderTimeout: time.Second}
	group.Go(func() error {
		<-ctx.Done()

		return server.Close()
	})
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("take orders: %w", err)
		}

		return nil
	})

	return group.Wait()
}

// certify asks istiod for a certificate and keeps it fresh.
func (s settings) certify(ctx context.Context, group *errgroup.Group) error {
	if s.token == "" {
		return nil
	}

	keeper, err := identity.NewIstiod(identity.IstiodConfig{
		Address: s.discovery, Identity: s.id, TokenFile: s.token, RootFile: s.root, Directory: s.directory,
	})
	if err != nil {
		return fmt.Errorf("ask istiod: %w", err)
	}

	group.Go(func() error { return keeper.Run(ctx) })

	select {
	case <-keeper.Issued():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ask istiod: %w", keeper.Check(context.WithoutCancel(ctx)))
	}
}

// writeBootstrap writes the file that grpc-go reads when it is first used.
func (s settings) writeBootstrap() error {
	labels := map[string]string{}

	for pair := range strings.SplitSeq(s.labels, ",") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			labels[key] = value
		}
	}

	data, err := identity.Bootstrap{
		ServerURI: s.discovery, Directory: s.directory, Identity: s.id, NodeIP: s.ip, Workload: s.name, Labels: labels,
	}.JSON()
	if err != nil {
		return fmt.Errorf("write the bootstrap: %w", err)
	}

	if err := os.WriteFile(os.Getenv("GRPC_XDS_BOOTSTRAP"), data, 0o600); err != nil {
		return fmt.Errorf("write the bootstrap: %w", err)
	}

	return nil
}
