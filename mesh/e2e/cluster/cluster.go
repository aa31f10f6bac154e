package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/mesh/e2e/binaries"
	"github.com/serinhq/serin/mesh/e2e/kubelet"
)

// Cluster is a cluster that runs. Make one with [Start] or [ForTest].
type Cluster struct {
	// Client is the administrator's, and knows [Scheme].
	Client client.Client
	// Kubernetes is the administrator's.
	Kubernetes kubernetes.Interface
	// Kubeconfig is the path of the administrator's.
	Kubeconfig string
	// Logs is the directory of the components' logs; the containers' are in its folder pods.
	Logs string

	// The components. In a [Options.Loopback] cluster ControllerManager is nil, and without [Options.Istiod] also Istiod.
	Etcd, APIServer, ControllerManager, Istiod *Component
	// Kubelet runs the Pods; nil in a [Options.Loopback] cluster.
	Kubelet *kubelet.Kubelet

	options  Options
	dir      string
	listen   addresses
	binaries binaries.Set
	ca       *authority
	config   *rest.Config
	began    time.Time
	progress sync.Mutex // one line at a time
}

// Start starts a cluster; [Cluster.Stop] must be called also after the context has ended. On an error nothing is left
// but the logs, whose place the error names.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	if options.Progress == nil {
		options.Progress = io.Discard
	}

	c := &Cluster{options: options, began: time.Now()}

	if err := c.prepare(ctx); err != nil {
		return nil, errors.Join(err, c.remove())
	}

	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop(true))
	}

	return c, nil
}

// prepare makes all that is needed before the first process starts.
func (c *Cluster) prepare(ctx context.Context) error {
	var err error

	if c.listen, err = c.options.addresses(); err != nil {
		return err
	}

	if c.binaries, err = c.options.binaries(ctx); err != nil {
		return err
	}

	if c.dir, err = os.MkdirTemp("", "serin-e2e-"); err != nil {
		return fmt.Errorf("make the cluster's directory: %w", err)
	}

	c.Logs = filepath.Join(c.dir, "logs")
	if err := os.Mkdir(c.Logs, 0o700); err != nil {
		return fmt.Errorf("make the logs' directory: %w", err)
	}

	if c.ca, err = newAuthority(c.dir); err != nil {
		return err
	}

	return c.connect()
}

func (o Options) addresses() (addresses, error) {
	if o.Loopback {
		return loopbackAddresses()
	}

	if !inNode() {
		return addresses{}, errors.New("a whole cluster needs the node that cluster.Main makes; call it in TestMain, or set Options.Loopback")
	}

	return nodeAddresses(), nil
}

func (o Options) binaries(ctx context.Context) (binaries.Set, error) {
	dir := o.Binaries
	if dir == "" {
		dir = os.Getenv(binariesVariable)
	}

	if dir != "" {
		return binaries.In(dir), nil
	}

	dir, err := binaries.Build(ctx, o.Progress)

	return binaries.In(dir), err
}

// say tells what has just been done, and when.
func (c *Cluster) say(format string, args ...any) {
	c.progress.Lock()
	defer c.progress.Unlock()

	_, _ = fmt.Fprintf(c.options.Progress, "%6.2fs %s\n", time.Since(c.began).Seconds(), fmt.Sprintf(format, args...))
}

// Stop ends everything and removes it; with keep the logs stay, and the progress says where.
func (c *Cluster) Stop(keep bool) error {
	if c.Kubelet != nil {
		c.Kubelet.Stop()
	}

	for _, component := range []*Component{c.Istiod, c.ControllerManager, c.APIServer, c.Etcd} {
		if component != nil {
			component.Stop()
		}
	}

	if !keep {
		return c.remove()
	}

	return c.keepLogs()
}

// keepLogs moves the logs out of the directory that is removed.
func (c *Cluster) keepLogs() error {
	kept, err := os.MkdirTemp("", "serin-e2e-logs-")
	if err != nil {
		return errors.Join(fmt.Errorf("find a place for logs: %w", err), c.remove())
	}

	if err := os.Rename(c.Logs, filepath.Join(kept, "logs")); err != nil {
		return errors.Join(fmt.Errorf("keep the logs: %w", err), c.remove())
	}

	c.Logs = filepath.Join(kept, "logs")
	c.say("the logs are in %s", c.Logs)

	return c.remove()
}

func (c *Cluster) remove() error {
	if c.dir == "" {
		return nil
	}

	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove the cluster's directory: %w", err)
	}

	return nil
}
