package cluster

import (
	"context"
	"crypto/x509/pkix"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/serinhq/serin/mesh/e2e/kubelet"
)

// kubeletClient is the common name under which the API server calls the kubelet.
const kubeletClient = "kube-apiserver-kubelet-client"

// start starts the components in the order in which they need each other, and side by side where they do not.
func (c *Cluster) start(ctx context.Context) error {
	var err error

	c.Etcd = c.newEtcd()
	if c.APIServer, err = c.newAPIServer(); err != nil {
		return err
	}

	first, firstCtx := errgroup.WithContext(ctx)

	var chart []*unstructured.Unstructured

	if c.options.withIstiod() {
		first.Go(func() (err error) {
			chart, err = c.chart(firstCtx)
			c.say("Istio's chart is rendered")

			return err
		})
	}

	first.Go(func() error { return c.startAPIServer(firstCtx) })

	if err := first.Wait(); err != nil {
		return err
	}

	group, ctx := errgroup.WithContext(ctx)

	if c.options.withIstiod() {
		group.Go(func() error { return c.startIstiod(ctx, chart) })
	}

	if !c.options.Loopback {
		group.Go(func() error { return c.startControllerManager(ctx) })
		group.Go(func() error { return c.startKubelet(ctx) })
	}

	return group.Wait()
}

func (c *Cluster) startAPIServer(ctx context.Context) error {
	if err := c.Etcd.Start(ctx); err != nil {
		return err
	}

	c.say("etcd is ready")

	if err := c.APIServer.Start(ctx); err != nil {
		return err
	}

	c.say("kube-apiserver is ready")

	return c.connectTyped()
}

func (c *Cluster) startControllerManager(ctx context.Context) error {
	c.ControllerManager = c.newControllerManager()
	if err := c.ControllerManager.Start(ctx); err != nil {
		return err
	}

	c.say("kube-controller-manager is ready")

	return nil
}

// startIstiod installs Istio and starts istiod as its own ServiceAccount.
func (c *Cluster) startIstiod(ctx context.Context, chart []*unstructured.Unstructured) error {
	if err := c.Namespace(ctx, IstioNamespace, nil); err != nil {
		return err
	}

	if err := c.installIstio(ctx, chart); err != nil {
		return err
	}

	c.say("Istio's chart is applied")

	config, err := c.ConfigFor(ctx, IstioNamespace, "istiod")
	if err != nil {
		return err
	}

	kubeconfig := filepath.Join(c.dir, "istiod.kubeconfig")
	if err := WriteKubeconfig(kubeconfig, config); err != nil {
		return err
	}

	c.Istiod = c.newIstiod(kubeconfig)
	if err := c.Istiod.Start(ctx); err != nil {
		return err
	}

	c.say("istiod is ready")

	if err := wait(ctx, c.webhookReady); err != nil {
		return fmt.Errorf("wait for istiod's webhook: %w\n%s", err, c.Istiod.tail())
	}

	c.say("istiod's webhook validates")

	return nil
}

func (c *Cluster) startKubelet(ctx context.Context) error {
	serving, err := c.ca.issue(pkix.Name{CommonName: "system:node:" + NodeName, Organization: []string{"system:nodes"}}, NodeIP)
	if err != nil {
		return err
	}

	options := c.options.kubelet()
	options.Config = c.Config()
	options.NodeName, options.NodeIP, options.PodCIDR = NodeName, NodeIP, PodCIDR
	options.APIServer = c.listen.apiServer
	options.Hosts = map[string]string{IstiodHost: NodeIP, "istiod." + IstioNamespace: NodeIP}
	options.Dir, options.Logs = filepath.Join(c.dir, "kubelet"), filepath.Join(c.Logs, "pods")
	options.ContainerInit = c.binaries.ContainerInit
	options.CertFile, options.KeyFile = serving.certFile, serving.keyFile
	options.ClientCA, options.ClientName = c.ca.pool(), kubeletClient
	options.Images = withPrograms(options.Images)

	c.Kubelet, err = kubelet.Start(ctx, options)
	if err != nil {
		return fmt.Errorf("start the kubelet: %w", err)
	}

	c.say("the kubelet is ready")

	return nil
}

// apiServerReady asks as the administrator.
func (c *Cluster) apiServerReady(ctx context.Context) error {
	transport, err := rest.TransportFor(c.config)
	if err != nil {
		return fmt.Errorf("make a transport: %w", err)
	}

	return c.answers(transport, c.config.Host+"/readyz")(ctx)
}

// wait polls until the condition gives no error, for at most as long as a component may take to be ready.
func wait(ctx context.Context, condition func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()

	tick := time.NewTicker(readyPoll)
	defer tick.Stop()

	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}

		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}
