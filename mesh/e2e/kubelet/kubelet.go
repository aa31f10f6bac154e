package kubelet

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
)

// Bridge is the name of the network link that Pods are plugged into.
const Bridge = "pods"

// Port is where the kubelet's own API listens, on the node's address.
const Port = 10250

// Options say how to play a node. All fields are needed, but for Images, Hosts and MaxBackoff.
type Options struct {
	// Config is the client's. It may bind Pods, write their status and delete them, read ConfigMaps and Secrets, and ask
	// for tokens.
	Config *rest.Config
	// NodeName and NodeIP are the node's; PodCIDR is the network that the node's address and its Pods' are of.
	NodeName, NodeIP, PodCIDR string
	// APIServer is the address that Pods are told, as host:port.
	APIServer string
	// Hosts are names that Pods resolve to addresses.
	Hosts map[string]string
	// Dir is a directory for volumes, Logs one for the containers' logs. Both are made if they are missing.
	Dir, Logs string
	// ContainerInit is the program in the folder containerinit.
	ContainerInit string
	// CertFile and KeyFile are what the kubelet's API serves with. Clients must have a certificate of ClientCA with the
	// common name ClientName.
	CertFile, KeyFile string
	ClientCA          *x509.CertPool
	ClientName        string
	// Images are the executables that images stand for: see the package.
	Images map[string]string
	// MaxBackoff caps the wait before a restart; 0 means 5 s. The first wait is a tenth of it, where Kubernetes begins
	// with 10 s and ends at 5 minutes.
	MaxBackoff time.Duration
}

// Kubelet plays one node. Make one with [Start].
type Kubelet struct {
	options Options
	client  kubernetes.Interface
	events  record.EventRecorder
	said    record.EventBroadcaster
	network *network

	ctx     context.Context
	cancel  context.CancelFunc
	tasks   sync.WaitGroup
	closers []func()

	mu   sync.Mutex
	pods map[types.UID]*pod
}

// Start registers the node and plays it until [Kubelet.Stop]; the context is for the start alone.
func Start(ctx context.Context, options Options) (*Kubelet, error) {
	if options.MaxBackoff <= 0 {
		options.MaxBackoff = 5 * time.Second
	}

	client, err := kubernetes.NewForConfig(options.Config)
	if err != nil {
		return nil, fmt.Errorf("make the kubelet's client: %w", err)
	}

	for _, dir := range []string{options.Dir, options.Logs} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, fmt.Errorf("make the kubelet's directory: %w", err)
		}
	}

	network, err := newNetwork(options.PodCIDR, options.NodeIP)
	if err != nil {
		return nil, err
	}

	k := &Kubelet{options: options, client: client, network: network, pods: map[types.UID]*pod{}}
	k.ctx, k.cancel = context.WithCancel(context.WithoutCancel(ctx))
	k.startEvents()

	for _, begin := range []func(context.Context) error{k.serve, k.register, k.watch} {
		if err := begin(ctx); err != nil {
			k.Stop()

			return nil, err
		}
	}

	return k, nil
}

func (k *Kubelet) startEvents() {
	k.said = record.NewBroadcaster()
	k.said.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: k.client.CoreV1().Events("")})
	k.events = k.said.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: k.options.NodeName})
}

// Stop kills all Pods' processes, without telling the API server, and returns when nothing is left.
func (k *Kubelet) Stop() {
	k.cancel()

	for _, closer := range slices.Backward(k.closers) {
		closer()
	}

	k.tasks.Wait()
	k.said.Shutdown()
}

// watch follows the Pods, and what their volumes are made of.
func (k *Kubelet) watch(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(k.client, 0)
	core := factory.Core().V1()

	_, podsErr := core.Pods().Informer().AddEventHandler(k.podHandler())
	_, configMapsErr := core.ConfigMaps().Informer().AddEventHandler(k.sourceHandler())
	_, secretsErr := core.Secrets().Informer().AddEventHandler(k.sourceHandler())

	if err := errors.Join(podsErr, configMapsErr, secretsErr); err != nil {
		return fmt.Errorf("watch Pods and their volumes: %w", err)
	}

	factory.Start(k.ctx.Done())
	k.closers = append(k.closers, factory.Shutdown)

	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("list %s: %w", kind, ctx.Err())
		}
	}

	return nil
}

// find returns the Pod of a name that runs here; of two, the one that does not end: it has taken the other's place.
func (k *Kubelet) find(namespace, name string) (*pod, error) {
	k.mu.Lock()
	defer k.mu.Unlock()

	var found *pod

	for _, pod := range k.pods {
		if pod.namespace == namespace && pod.name == name && (found == nil || found.soft.Err() != nil) {
			found = pod
		}
	}

	if found != nil {
		return found, nil
	}

	return nil, fmt.Errorf("pod %s/%s does not run on %s", namespace, name, k.options.NodeName)
}
