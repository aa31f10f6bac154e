package cluster

import (
	"io"
	"time"

	"github.com/serinhq/serin/mesh/e2e/kubelet"
)

// Options say what kind of cluster to start. The zero value is a whole one, in the node that [Main] makes.
type Options struct {
	// Loopback makes a cluster without namespaces, Pods or controllers: etcd and kube-apiserver on 127.0.0.1, with ports
	// that were free. It needs neither root nor [Main].
	Loopback bool
	// Istiod adds istiod and Istio's CRDs to a [Options.Loopback] cluster; elsewhere they are always there.
	Istiod bool
	// Binaries is the directory that the binaries package filled. Empty means the one that [Main] built, and without
	// [Main] it is built now.
	Binaries string
	// Images says what executables container images stand for: see the kubelet package. Added to it are the programs that
	// [Main] built, each under its name.
	Images map[string]string
	// Debounce is how long istiod waits for changes to calm down; 0 means istiod's own 100 ms.
	Debounce time.Duration
	// MaxBackoff caps the wait before a container that crashes is started again; 0 means 5 s, where Kubernetes waits up
	// to 5 minutes.
	MaxBackoff time.Duration
	// Progress takes lines on what happens while the cluster starts and stops. Nil means that nobody reads them.
	Progress io.Writer
	// ServingHosts are further names and addresses that the API server's certificate is good for.
	ServingHosts []string
}

func (o Options) withIstiod() bool { return !o.Loopback || o.Istiod }

func (o Options) kubelet() kubelet.Options {
	return kubelet.Options{Images: o.Images, MaxBackoff: o.MaxBackoff}
}
