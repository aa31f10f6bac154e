// Command serin-cluster is a Kubernetes cluster with Istio for people without Docker: Pods run as processes of this
// machine, in namespaces of their own. It needs root, and takes about ten seconds once its parts are built.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"github.com/serinhq/serin/mesh/e2e/binaries"
	"github.com/serinhq/serin/mesh/e2e/cluster"
)

func main() {
	command := &command{images: map[string]string{}}
	if err := command.parse(); err != nil {
		fmt.Fprintln(os.Stderr, "serin-cluster:", err)
		os.Exit(2)
	}

	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "serin-cluster: a node's namespaces need root")
		os.Exit(1)
	}

	if err := command.openDoor(); err != nil {
		fmt.Fprintln(os.Stderr, "serin-cluster:", err)
		os.Exit(1)
	}

	os.Exit(cluster.RunInNode(command.run, os.Stderr, command.programs(), command.door))
}

// command is what the flags say.
type command struct {
	images     images
	kubeconfig string
	listen     string
	keepLogs   bool
	debounce   time.Duration
	noSerin    bool

	door *os.File // the listener in the host's network
}

func (c *command) parse() error {
	flag.Var(c.images, "image", "NAME=PATH: run the executable at PATH for the image NAME; can be repeated")
	flag.StringVar(&c.kubeconfig, "kubeconfig", filepath.Join(os.TempDir(), "serin-cluster.kubeconfig"), "where to write the kubeconfig")
	flag.StringVar(&c.listen, "listen", "127.0.0.1:0", "address on this machine that the API server is reached at")
	flag.BoolVar(&c.keepLogs, "keep-logs", false, "keep the logs at the end")
	flag.DurationVar(&c.debounce, "debounce", 0, "how long istiod waits for changes to calm down (0: its own 100ms)")
	flag.BoolVar(&c.noSerin, "no-serin", false, "do not build Serin for the image serin")
	flag.Parse()

	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}

	host, _, err := net.SplitHostPort(c.listen)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("listen %q: must be a loopback address and a port, such as 127.0.0.1:6443", c.listen)
	}

	return nil
}

func (c *command) programs() []binaries.Program {
	if c.noSerin {
		return nil
	}

	return []binaries.Program{binaries.Serin()}
}

// openDoor opens the listener in the host's network, or takes over the one that was inherited.
func (c *command) openDoor() error {
	if c.door = cluster.Inherited(); c.door != nil {
		return nil
	}

	listen := net.ListenConfig{}

	listener, err := listen.Listen(context.Background(), "tcp", c.listen)
	if err != nil {
		return fmt.Errorf("listen for kubectl: %w", err)
	}
	defer listener.Close() //nolint:errcheck // the file is a descriptor of its own

	c.door, err = listener.(*net.TCPListener).File() //nolint:forcetypeassert // that is what "tcp" gives
	if err != nil {
		return fmt.Errorf("pass the listener on: %w", err)
	}

	return nil
}

// run is what happens inside the node.
func (c *command) run() int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()

	klog.LogToStderr(false)
	klog.SetOutput(io.Discard) // client-go's complaints while the cluster starts and stops

	if err := c.serve(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "serin-cluster:", err)

		return 1
	}

	return 0
}

func (c *command) serve(ctx context.Context) error {
	started, err := cluster.Start(ctx, cluster.Options{
		Images: maps.Clone(c.images), Progress: os.Stderr, Debounce: c.debounce,
	})
	if err != nil {
		return err
	}

	stopProxy, address, err := c.openToHost(started)
	if err == nil {
		err = c.tell(started, address)
	}

	if err == nil {
		<-ctx.Done()
		fmt.Fprintln(os.Stderr, "stopping")
		stopProxy()
		_ = os.Remove(c.kubeconfig) // it leads nowhere now
	}

	if stopErr := started.Stop(c.keepLogs || err != nil); err == nil {
		err = stopErr
	}

	return err
}

// openToHost forwards connections from the host to the API server.
func (c *command) openToHost(started *cluster.Cluster) (stop func(), address string, err error) {
	listener, err := net.FileListener(c.door)
	if err != nil {
		return nil, "", fmt.Errorf("take the host's listener over: %w", err)
	}

	return forward(listener, strings.TrimPrefix(started.Config().Host, "https://")), listener.Addr().String(), nil
}

func (c *command) tell(started *cluster.Cluster, address string) error {
	config := started.Config()
	config.Host = "https://" + address

	if err := cluster.WriteKubeconfig(c.kubeconfig, config); err != nil {
		return err
	}

	fmt.Fprintf(os.Stderr, "logs are in %s; Ctrl-C ends the cluster\n", started.Logs)
	fmt.Printf("export KUBECONFIG=%s\n", c.kubeconfig)

	return nil
}

// images is the flag for images.
type images map[string]string

func (i images) String() string { return "" }

// Set takes NAME=PATH.
func (i images) Set(text string) error {
	name, path, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return fmt.Errorf("%q: must be NAME=PATH", text)
	}

	absolute, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("find %s: %w", path, err)
	}

	if _, err := os.Stat(absolute); err != nil {
		return fmt.Errorf("image %s: %w", name, err)
	}

	i[name] = absolute

	return nil
}
