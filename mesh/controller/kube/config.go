package kube

import (
	"errors"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/agentspec"
)

// Pods knows how Serin's processes are run in a pod.
type Pods interface {
	// Files are what a revision's ConfigMap holds beside the resolved agent, by name: the processes' configuration.
	Files(agent, revision string) (map[string]string, error)
	// Template is the pod of a revision, as it is before the agent's own spec.pod is merged over it. The ConfigMap's name is
	// that of [ObjectName].
	Template(agent agentspec.Agent, revision string) (corev1.PodTemplateSpec, error)
}

// Config is what the parts of a [Cluster] need. All of it is required, but for Autoscaling and Network.
type Config struct {
	// Client reads from a cache and writes to the API server, Reader reads from the API server.
	Client client.Client
	Reader client.Reader
	// Namespace is the one that everything is in.
	Namespace string
	// TrustDomain is the mesh's: certificates name service accounts in it.
	TrustDomain string
	// Holder names this process: the name of its pod.
	Holder   string
	Pods     Pods
	Recorder events.EventRecorder
	Logger   *slog.Logger
	// Catalogue makes the ConfigMap's text that says which agents there are.
	Catalogue Catalogue
	// Autoscaling has each revision's size follow what its pods are busy with. The cluster must serve the metrics of pods,
	// active_conversations and llm_request_queue_depth, as custom metrics.
	Autoscaling bool
	// Network has network policies isolate each agent's pods; nil for none.
	Network *Network
}

// Catalogue says which agents and tool servers there are when a request was applied, for the processes that look at it.
type Catalogue func(request *workloadv1.ApplyRequest) (string, error)

func (c *Config) check() error {
	switch {
	case c.Client == nil || c.Reader == nil:
		return errors.New("kube: Config.Client and Config.Reader are required")
	case c.Namespace == "":
		return errors.New("kube: Config.Namespace is required")
	case c.TrustDomain == "":
		return errors.New("kube: Config.TrustDomain is required")
	case c.Holder == "":
		return errors.New("kube: Config.Holder is required: the name of the pod")
	case c.Pods == nil || c.Recorder == nil || c.Logger == nil || c.Catalogue == nil:
		return errors.New("kube: Config.Pods, Recorder, Logger and Catalogue are required")
	case c.Network != nil && (len(c.Network.Pages) == 0 || len(c.Network.ControlPlane) == 0 || len(c.Network.Outside) == 0):
		return errors.New("kube: Config.Network needs ports of each kind: a rule without any is one for all")
	default:
		return nil
	}
}
