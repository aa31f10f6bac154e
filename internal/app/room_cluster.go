package app

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	versioned "istio.io/client-go/pkg/clientset/versioned"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/drain"
	"github.com/serinhq/serin/internal/health"
	"github.com/serinhq/serin/mesh/controller"
	"github.com/serinhq/serin/mesh/controller/door"
	"github.com/serinhq/serin/mesh/controller/kube"
	"github.com/serinhq/serin/mesh/istio"
)

// clusterSettings are what the controller is told where agents are objects of Kubernetes.
type clusterSettings struct {
	// Image is Serin's own, for agents that name no other and for their ambassadors.
	Image string `json:"image"`
	// LLMSecret is the Secret with the providers' keys, by variable; LLMEnv are variables beside it, such as
	// PRIMARY_PROVIDER.
	LLMSecret string            `json:"llmSecret,omitempty"`
	LLMEnv    map[string]string `json:"llmEnv,omitempty"`
	// TelemetryEnv are OpenTelemetry's variables for agents' pods, such as OTEL_EXPORTER_OTLP_ENDPOINT; TelemetrySecret is a
	// Secret with more of them, such as OTEL_EXPORTER_OTLP_HEADERS.
	TelemetryEnv    map[string]string `json:"telemetryEnv,omitempty"`
	TelemetrySecret string            `json:"telemetrySecret,omitempty"`
	// Autoscaling has autoscalers decide how many pods each revision has, within spec.scaling. The cluster must serve the
	// custom metrics of pods active_conversations and llm_request_queue_depth, as a Prometheus adapter does; without them
	// sizes would stay as they are, so that the default is not to.
	Autoscaling bool `json:"autoscaling,omitempty"`
	// NetworkPolicies isolates agents' pods by network policies; default true. EgressPorts are ports beside 443 that agents'
	// ambassadors need anywhere: those of models at other ports that only the Secret names.
	NetworkPolicies *bool   `json:"networkPolicies,omitempty"`
	EgressPorts     []int32 `json:"egressPorts,omitempty"`
	// Dwell is how long istiod takes at most until every proxy has a change; default 2s.
	Dwell agentspec.Duration `json:"dwell,omitempty"`
	// DeleteAfter is how long a deleted agent must have been idle before it goes; default 10m.
	DeleteAfter agentspec.Duration `json:"deleteAfter,omitempty"`
	// LeaseDuration is how long a leader that has died leads at most; default 15s.
	LeaseDuration agentspec.Duration `json:"leaseDuration,omitempty"`
	// User is the user id that agents' pods run as; default 65532, as in distroless images.
	User int64 `json:"user,omitempty"`
}

func (s *clusterSettings) check() error {
	if s.Image == "" {
		return usageErrorf(`controller.cluster.image "": must be the image of Serin that agents' pods run`)
	}

	for i, port := range s.EgressPorts {
		if port < 1 || port > 65535 {
			return usageErrorf("controller.cluster.egressPorts[%d] %d: must be a port, 1 to 65535", i, port)
		}
	}

	if len(s.EgressPorts) > 0 && !s.isolates() {
		return usageErrorf("controller.cluster.egressPorts %v: are for network policies and must be absent, or networkPolicies must be true",
			s.EgressPorts)
	}

	return nil
}

// isolates says whether network policies isolate agents' pods.
func (s *clusterSettings) isolates() bool { return s.NetworkPolicies == nil || *s.NetworkPolicies }

// telemetry are the variables as an environment has them, in an order that does not change pods.
func (s *clusterSettings) telemetry() []string {
	environ := make([]string, 0, len(s.TelemetryEnv))
	for _, name := range slices.Sorted(maps.Keys(s.TelemetryEnv)) {
		environ = append(environ, name+"="+s.TelemetryEnv[name])
	}

	return environ
}

func (s *clusterSettings) user() int64 { return cmp.Or(s.User, 65532) }

// clusterRoom decides about rollouts of the Agents of a namespace.
func (w *workload) clusterRoom(context.Context) (*room, error) {
	settings := w.config.Controller.Cluster
	if err := settings.check(); err != nil {
		return nil, err
	}

	access, err := clusterAccess()
	if err != nil {
		return nil, err
	}

	mesh, err := versioned.NewForConfig(access)
	if err != nil {
		return nil, fmt.Errorf("reach the mesh's objects: %w", err)
	}

	router, err := istio.New(istio.Config{
		Client: mesh, TrustDomain: w.config.TrustDomain,
		Propagation: istio.NewDwell(cmp.Or(time.Duration(settings.Dwell), 2*time.Second)),
	})
	if err != nil {
		return nil, err
	}

	cluster, err := kube.NewCluster(kube.Options{
		REST: access, Namespace: w.config.Namespace, TrustDomain: w.config.TrustDomain, Holder: w.config.pod.name,
		Pods:      &podMaker{settings: settings, dataPlane: *w.config.DataPlane, trust: w.config.TrustDomain, logLevel: w.config.LogLevel},
		Catalogue: catalogueText, Logger: w.telemetry.Logger, LeaseDuration: time.Duration(settings.LeaseDuration),
		Autoscaling: settings.Autoscaling, Network: podNetwork(settings, w.config.DataPlane),
	})
	if err != nil {
		return nil, err
	}

	conversations, err := w.contextClient()
	if err != nil {
		return nil, err
	}

	service, err := controller.New(controller.Config{
		Namespace: w.config.Namespace, Source: cluster.Source, Router: router, Workloads: cluster.Workloads(),
		Context: conversations, Store: cluster.Store, Telemetry: w.telemetry,
		DeleteAfter: cmp.Or(time.Duration(settings.DeleteAfter), 10*time.Minute),
	})
	if err != nil {
		return nil, err
	}

	people, err := w.peoplesDoor(access, service)
	if err != nil {
		return nil, err
	}

	return &room{
		register: service.Register,
		policy:   controller.Policy(),
		checks: []health.Check{
			{Name: "cluster", TTL: healthTTL, Func: cluster.Ready},
			{Name: "agents", TTL: healthTTL, Informative: true, Func: service.Ready},
		},
		tasks: []drain.Task{{Name: "cluster", Run: func(ctx context.Context) error {
			return cluster.Run(ctx, func(ctx context.Context) error {
				return drain.Run(ctx, drain.Task{Name: "rollouts", Run: service.Run}, drain.Task{Name: "door", Run: people.Run})
			}, service.Follow)
		}}},
		drain: func(context.Context) error { service.Drain(); return nil },
	}, nil
}

// peoplesDoor lets people steer rollouts who reach the leading pod through the API server.
func (w *workload) peoplesDoor(access *rest.Config, service *controller.Service) (*door.Door, error) {
	client, err := kubernetes.NewForConfig(access)
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}

	return door.New(door.Config{
		Rollouts: service, Kubernetes: client, Namespace: w.config.Namespace, Pod: w.config.pod.name,
		TrustDomain: w.config.TrustDomain, Logger: w.telemetry.Logger,
	})
}

// clusterAccess is how this process reaches the API server: by its service account, or by the file that KUBECONFIG names.
func clusterAccess() (*rest.Config, error) {
	read := rest.InClusterConfig

	if path := os.Getenv(clientcmd.RecommendedConfigPathEnvVar); path != "" {
		read = func() (*rest.Config, error) { return clientcmd.BuildConfigFromFlags("", path) }
	}

	access, err := read()
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}

	access.UserAgent = "serin-controller/" + version()
	access.QPS, access.Burst = 100, 200 // an abort must not wait behind everything else

	return access, nil
}

// catalogueText is the catalogue of a cluster.
func catalogueText(request *workloadv1.ApplyRequest) (string, error) {
	read, err := newCrew(request)
	if err != nil {
		return "", err
	}

	for i := range read.servers {
		read.servers[i].Spec.Env = podDemoEnv(read.servers[i].Spec)
	}

	data, err := encodeCatalogue(read.catalogue())

	return string(data), err
}

// podDemoEnv tells Serin's own demo servers where a pod can keep their records.
func podDemoEnv(spec agentspec.MCPServerSpec) map[string]string {
	if len(spec.Command) == 0 || spec.Command[0] != "serin" {
		return spec.Env
	}

	env := map[string]string{"SERIN_DEMO_DATA": "/tmp/serin-demo"}
	maps.Copy(env, spec.Env)

	return env
}
