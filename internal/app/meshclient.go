package app

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	versioned "istio.io/client-go/pkg/clientset/versioned"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/serinhq/serin/mesh/identity"
)

var onceClientGo sync.Once //nolint:gochecknoglobals // klog's logger is one too

// logClientGo says where client-go logs, for the whole process: to standard error by default. Only the first call counts, as
// klog may not be told while a connection that it logs for is still closing.
func logClientGo(logger *slog.Logger) {
	onceClientGo.Do(func() { klog.SetSlogLogger(logger) })
}

// meshClient speaks to the embedded control plane's API, or to a kube-apiserver: the same either way.
func meshClient(address, certificates string, logger *slog.Logger) (versioned.Interface, error) {
	logClientGo(logger)

	client, err := versioned.NewForConfig(&rest.Config{
		Host: "https://" + address,
		TLSClientConfig: rest.TLSClientConfig{
			CertFile: filepath.Join(certificates, identity.SVIDFile),
			KeyFile:  filepath.Join(certificates, identity.KeyFile),
			CAFile:   filepath.Join(certificates, identity.BundleFile),
		},
		QPS: -1, // the server is on this machine, and callers pace themselves
	})
	if err != nil {
		return nil, fmt.Errorf("make a client of the mesh's API: %w", err)
	}

	return client, nil
}
