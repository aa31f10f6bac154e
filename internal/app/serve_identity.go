package app

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/serinhq/serin/internal/health"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/identity"
)

// join gets the process its identity, however long that takes; false if ctx ended before.
func (w *workload) join(ctx context.Context) (bool, error) {
	switch w.config.plane() {
	case planeProxyless:
		return w.joinIstiod(ctx)
	case planeSidecar:
		w.credentials = rpc.Credentials{Sidecar: w.config.identity(w.config.Name)}

		return true, nil
	case planeNone:
		return true, nil
	default:
		return true, w.watch(ctx)
	}
}

// watch takes the identity from the directory of certificates.
func (w *workload) watch(ctx context.Context) error {
	source, err := identity.Watch(ctx, w.config.Certificates)
	if err != nil {
		return fmt.Errorf("read certificates: %w", err)
	}

	w.credentials = rpc.Credentials{SVID: source, Bundle: source}

	return nil
}

// joinIstiod writes the bootstrap, gets a first certificate, and keeps it fresh until the workload is closed. Health is
// served meanwhile: it says what the process waits for.
func (w *workload) joinIstiod(ctx context.Context) (bool, error) {
	if err := w.writeBootstrap(); err != nil {
		return false, err
	}

	istiod, err := w.istiod()
	if err != nil {
		return false, err
	}

	w.identity = istiod

	living, stop := context.WithCancel(context.WithoutCancel(ctx)) // certificates are needed until the drain is over
	w.closing = append(w.closing, stop)
	w.background.Go(func() { _ = istiod.Run(living) }) // it ends with its context, and never fails

	if err := w.openDoor(); err != nil {
		return false, err
	}

	select {
	case <-istiod.Issued():
		return true, w.watch(living)
	case <-w.door.done:
		return false, w.door.err
	case <-ctx.Done():
		return false, nil
	}
}

func (w *workload) istiod() (*identity.Istiod, error) {
	plane := w.config.DataPlane

	istiod, err := identity.NewIstiod(identity.IstiodConfig{
		Address: plane.Discovery, Identity: w.config.identity(w.config.Name), TokenFile: plane.TokenFile,
		RootFile: plane.RootFile, Directory: w.config.Certificates, ClusterID: plane.ClusterID, Logger: w.telemetry.Logger,
	})
	if err != nil {
		return nil, usageErrorf("%w", err)
	}

	return istiod, nil
}

// writeBootstrap tells grpc-go where istiod is. grpc-go has read the file's name when the process started, and reads the
// file when it first dials or serves.
func (w *workload) writeBootstrap() error {
	plane, pod := w.config.DataPlane, w.config.pod

	labels, err := plane.podLabels()
	if err != nil {
		return err
	}

	data, err := identity.Bootstrap{
		ServerURI: plane.Discovery, Directory: w.config.Certificates, Identity: w.config.identity(w.config.Name),
		NodeIP: pod.address, Workload: pod.name, Labels: labels, ClusterID: plane.ClusterID,
	}.JSON()
	if err != nil {
		return usageErrorf("%w", err)
	}

	if err := os.MkdirAll(filepath.Dir(pod.bootstrap), 0o700); err != nil {
		return fmt.Errorf("write the bootstrap that GRPC_XDS_BOOTSTRAP names: %w", err)
	}

	if err := writeFile(pod.bootstrap, data); err != nil {
		return fmt.Errorf("write the bootstrap that GRPC_XDS_BOOTSTRAP names: %w", err)
	}

	return nil
}

// identityChecks are that the certificate from istiod is good.
func (w *workload) identityChecks() []health.Check {
	if w.identity == nil {
		return nil
	}

	return []health.Check{{Name: "identity", TTL: healthTTL, Func: w.identity.Check}}
}

// openDoor serves health before there is a room.
func (w *workload) openDoor() error {
	listener, err := w.config.listener("http")
	if err != nil {
		return err
	}

	checker := health.New(w.identityChecks()...)
	checker.MarkStarted() // restarting the process would not bring istiod

	mux := http.NewServeMux()
	mux.Handle("/health/", checker.Handler())
	mux.HandleFunc("/", func(writer http.ResponseWriter, _ *http.Request) {
		http.Error(writer, "waiting for a certificate; see /health/ready", http.StatusServiceUnavailable)
	})

	w.door = newHealthDoor(mux, listener)

	return nil
}
