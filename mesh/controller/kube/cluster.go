package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	security "istio.io/client-go/pkg/apis/security/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	crmanager "sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/mesh/api/v1alpha1"
)

// queue is where a reconciler takes its work from.
type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// Options are what a Cluster is made from. All but Autoscaling, Network and LeaseDuration is required.
type Options struct {
	REST      *rest.Config
	Namespace string
	// TrustDomain is as in [Config].
	TrustDomain string
	// Holder is the name of this process's pod.
	Holder    string
	Pods      Pods
	Catalogue Catalogue
	Logger    *slog.Logger
	// Autoscaling and Network are as in [Config].
	Autoscaling bool
	Network     *Network
	// LeaseDuration is how long a leader that has died leads at most; default 15s.
	LeaseDuration time.Duration
}

// Cluster is a cluster as package controller sees it.
type Cluster struct {
	config    *Config
	manager   ctrl.Manager
	workloads *workloads

	Source *Source
	Store  *Store
}

// NewCluster makes a Cluster. It asks the API server which kinds there are: errors say that it can't be reached, or that
// the custom resources of Serin are missing.
func NewCluster(options Options) (*Cluster, error) {
	logger := logr.FromSlogHandler(options.Logger.Handler())
	log.SetLogger(logger)
	klog.SetLogger(logger)

	managed, err := newManager(options)
	if err != nil {
		return nil, err
	}

	config := &Config{
		Client: managed.GetClient(), Reader: managed.GetAPIReader(), Namespace: options.Namespace,
		TrustDomain: options.TrustDomain, Holder: options.Holder, Pods: options.Pods, Recorder: managed.GetEventRecorder(fieldOwner),
		Logger: options.Logger, Catalogue: options.Catalogue, Autoscaling: options.Autoscaling, Network: options.Network,
	}
	if err := config.check(); err != nil {
		return nil, err
	}

	cluster := &Cluster{
		config: config, manager: managed, workloads: newWorkloads(config),
		Source: &Source{client: config.Client, namespace: config.Namespace}, Store: newStore(config),
	}

	return cluster, cluster.reconciles()
}

// newManager makes a manager that knows nothing but its namespace.
func newManager(options Options) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), security.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("know the kinds of objects: %w", err)
	}

	lease := max(options.LeaseDuration, 0)
	if lease == 0 {
		lease = 15 * time.Second
	}

	ours := labels.SelectorFromSet(labels.Set{managedLabel: manager})

	made, err := ctrl.NewManager(options.REST, ctrl.Options{
		Scheme: scheme,
		Cache: cache.Options{
			DefaultNamespaces: map[string]cache.Config{options.Namespace: {}},
			ByObject: map[client.Object]cache.ByObject{ // prompts may be in any ConfigMap
				&corev1.Pod{}: {Label: ours}, &appsv1.Deployment{}: {Label: ours},
				&policyv1.PodDisruptionBudget{}: {Label: ours}, &autoscalingv2.HorizontalPodAutoscaler{}: {Label: ours},
				&networkingv1.NetworkPolicy{}: {Label: ours},
			},
		},
		Metrics:                       metricsserver.Options{BindAddress: "0"}, // they are on the process's own page
		LeaderElection:                true,
		LeaderElectionID:              fieldOwner,
		LeaderElectionNamespace:       options.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 new(lease),
		RenewDeadline:                 new(lease * 2 / 3),
		RetryPeriod:                   new(lease * 2 / 15),
	})
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}

	return made, nil
}

// reconciles has the manager look at what belongs to an agent whenever it changes.
func (c *Cluster) reconciles() error {
	told := handler.Funcs{
		CreateFunc: func(context.Context, event.CreateEvent, queue) { c.workloads.tell() },
		UpdateFunc: func(context.Context, event.UpdateEvent, queue) { c.workloads.tell() },
		DeleteFunc: func(context.Context, event.DeleteEvent, queue) { c.workloads.tell() },
	}
	changed := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	managed := builder.WithPredicates(predicate.NewPredicateFuncs(func(object client.Object) bool {
		return object.GetLabels()[managedLabel] == manager
	}))

	err := ctrl.NewControllerManagedBy(c.manager).
		Named("workloads").
		For(&v1alpha1.Agent{}, changed).
		Owns(&appsv1.Deployment{}, changed).
		Owns(&policyv1.PodDisruptionBudget{}, changed).
		Owns(&autoscalingv2.HorizontalPodAutoscaler{}, builder.WithPredicates(scaledAnew())).
		Owns(&corev1.Service{}, managed).
		Owns(&corev1.ServiceAccount{}, managed).
		Owns(&security.AuthorizationPolicy{}, managed).
		Owns(&networkingv1.NetworkPolicy{}, changed).
		Watches(&corev1.Pod{}, told).
		Watches(&appsv1.Deployment{}, told).
		WatchesRawSource(source.Channel(c.workloads.again, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 2, SkipNameValidation: new(true)}).
		Complete(c.workloads)
	if err != nil {
		return fmt.Errorf("reconcile agents: %w", err)
	}

	return nil
}

// Workloads is how the controller has agents run.
func (c *Cluster) Workloads() workloadv1.WorkloadServiceClient { return c.workloads }

// Run works until ctx ends. While this process leads, it runs lead, which steers the agents, and publishes what follow
// tells. It returns an error if the lease is lost, or another has written the records: the process must end then.
func (c *Cluster) Run(ctx context.Context, lead func(context.Context) error, follow Follow) error {
	err := c.manager.Add(crmanager.RunnableFunc(func(ctx context.Context) error {
		return c.lead(ctx, lead, follow)
	}))
	if err != nil {
		return fmt.Errorf("steer agents: %w", err)
	}

	if err := c.markLeader(ctx, c.config.Holder, false); err != nil { // it may have led before its container was started again
		return err
	}

	if err := c.manager.Start(ctx); err != nil {
		return fmt.Errorf("work on the cluster: %w", err)
	}

	return nil
}

// lead steers the agents. Its end is the end of the process's leading.
func (c *Cluster) lead(ctx context.Context, steer func(context.Context) error, follow Follow) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	if err := errors.Join(c.unmarkOthers(ctx), c.markLeader(ctx, c.config.Holder, true)); err != nil {
		return err
	}

	ended := make(chan struct{})

	go func() {
		defer close(ended)

		newPublisher(c.config, c.Store, c.Source, follow).run(ctx)
	}()
	go func() {
		select {
		case <-c.Store.Overtaken():
			cancel(ErrOvertaken)
		case <-ctx.Done():
		}
	}()

	err := steer(ctx)

	cancel(err)
	<-ended

	if cause := context.Cause(ctx); errors.Is(cause, ErrOvertaken) {
		return fmt.Errorf("lead: %w", cause)
	}

	return err
}

// unmarkOthers has the controller's Service lead to no pod that has led before, and may not know yet that it does no more.
func (c *Cluster) unmarkOthers(ctx context.Context) error {
	marked := &corev1.PodList{}
	if err := c.config.Reader.List(ctx, marked, client.InNamespace(c.config.Namespace), client.HasLabels{LeaderLabel}); err != nil {
		return fmt.Errorf("list who led: %w", err)
	}

	var failed error

	for i := range marked.Items {
		if name := marked.Items[i].Name; name != c.config.Holder {
			failed = errors.Join(failed, client.IgnoreNotFound(c.markLeader(ctx, name, false)))
		}
	}

	return failed
}

// markLeader has the controller's Service lead to a pod, or no longer.
func (c *Cluster) markLeader(ctx context.Context, name string, leads bool) error {
	value := "null"
	if leads {
		value = `"true"`
	}

	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: c.config.Namespace, Name: name}}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"`+LeaderLabel+`":`+value+`}}}`))

	if err := c.config.Client.Patch(ctx, pod, patch, client.FieldOwner(fieldOwner)); err != nil {
		return fmt.Errorf("label pod %s: %w", name, err)
	}

	return nil
}

// Ready says why what there is in the cluster is not known yet.
func (c *Cluster) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()

	if !c.manager.GetCache().WaitForCacheSync(ctx) {
		return errors.New("what there is in the cluster is not known yet: the API server does not answer, or does not let it be read")
	}

	return nil
}
