package app

import (
	"fmt"
	"log/slog"
	"path/filepath"

	versioned "istio.io/client-go/pkg/clientset/versioned"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/serinhq/serin/mesh/identity"
)

// meshClient speaks to the embedded control plane's API, or to a kube-apiserver: the same either way.
func meshClient(address, certificates string, logger *slog.Logger) (versioned.Interface, error) {
	klog.SetSlogLogger(logger) // client-go logs for the whole process, to standard error by default

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
