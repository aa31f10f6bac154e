package app

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	istionet "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	versioned "istio.io/client-go/pkg/clientset/versioned"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/supervise"
	"github.com/serinhq/serin/mesh/xds"
)

// meshPort is the port that every gRPC service has in the mesh.
const meshPort = 9000

const (
	// registryRetry is the time until a failed write is tried again.
	registryRetry = 50 * time.Millisecond
	// registryInterval is the time after which someone else's changes of the objects are made good.
	registryInterval = 10 * time.Second
)

// registry tells the mesh which processes there are: a ServiceEntry for each service, a WorkloadEntry for each process.
// It is what Kubernetes does with Services and Pods. The platform's own services get a VirtualService besides, see
// [onceOnly].
type registry struct {
	client versioned.Interface
	// known are the objects as they were written last.
	services  map[string]*networkingv1.ServiceEntry
	workloads map[string]*networkingv1.WorkloadEntry
	// routed are the hosts that some VirtualService routes.
	routed map[string]bool
}

// runRegistry keeps the mesh's objects true until the context ends.
func (p *Platform) runRegistry(ctx context.Context) error {
	client, err := meshClient(p.targets[meshAPIName], p.data.join("certs", rpc.Supervisor), p.logger)
	if err != nil {
		return err
	}

	registry := &registry{client: client}

	again := time.NewTicker(registryInterval)
	defer again.Stop()

	for failing, told := false, false; ; {
		statuses, changed := p.supervisor.Changed()
		err := registry.write(ctx, p.allWorkloads(), statuses)

		if ctx.Err() != nil {
			return nil
		}

		if err != nil {
			if !failing && told { // at the start the mesh is not there yet
				p.warn("the mesh was not told of a change; trying again", err)
			}

			registry.services, registry.workloads, failing = nil, nil, true
			changed = closedAfter(registryRetry)
		} else {
			failing, told = false, true
		}

		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-again.C:
			registry.services, registry.workloads = nil, nil
		}
	}
}

func closedAfter(wait time.Duration) <-chan struct{} {
	done := make(chan struct{})
	time.AfterFunc(wait, func() { close(done) })

	return done
}

// write makes the objects say what there is.
func (r *registry) write(ctx context.Context, planned map[string]*plannedWorkload, statuses []supervise.Status) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()

	if r.services == nil {
		if err := r.read(ctx); err != nil {
			return err
		}
	}

	services, workloads := map[string]*networkingv1.ServiceEntry{}, map[string]*networkingv1.WorkloadEntry{}

	for _, status := range statuses {
		workload := planned[status.Name]
		if workload == nil || workload.addresses["grpc"] == "" || workload.config.Room == "mesh" {
			continue
		}

		services[workload.config.Name] = serviceEntry(workload.config.Name)
		workloads[workload.name] = workloadEntry(workload, status.State == supervise.Ready)
	}

	if err := r.writeServices(ctx, services); err != nil {
		return err
	}

	if err := r.writeRoutes(ctx, services); err != nil {
		return err
	}

	return r.writeWorkloads(ctx, workloads)
}

// read learns what there is from before. Workloads without the annotation are someone else's.
func (r *registry) read(ctx context.Context) error {
	services, err := r.client.NetworkingV1().ServiceEntries(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list services: %w", err)
	}

	workloads, err := r.client.NetworkingV1().WorkloadEntries(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list workloads: %w", err)
	}

	routes, err := r.client.NetworkingV1().VirtualServices(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}

	r.services, r.workloads = map[string]*networkingv1.ServiceEntry{}, map[string]*networkingv1.WorkloadEntry{}
	r.routed = map[string]bool{}

	for _, route := range routes.Items {
		for _, host := range route.Spec.GetHosts() {
			r.routed[host] = true
		}
	}

	for _, service := range services.Items {
		r.services[service.Name] = service
	}

	for _, workload := range workloads.Items {
		if _, ours := workload.Annotations[xds.ReadyAnnotation]; ours {
			r.workloads[workload.Name] = workload
		}
	}

	return nil
}

// writeServices adds services; those that nobody serves any more stay, so that callers wait instead of failing.
func (r *registry) writeServices(ctx context.Context, wanted map[string]*networkingv1.ServiceEntry) error {
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if r.services[name] != nil {
			continue
		}

		created, err := r.client.NetworkingV1().ServiceEntries(namespace).Create(ctx, wanted[name], metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("add service %s: %w", name, err)
		}

		r.services[name] = created
	}

	return nil
}

// writeRoutes gives each of the platform's own services a route, unless someone routes it already. Agents get theirs from
// the controller.
func (r *registry) writeRoutes(ctx context.Context, services map[string]*networkingv1.ServiceEntry) error {
	for _, name := range slices.Sorted(maps.Keys(services)) {
		host := rpc.Host(namespace, name)
		if (rpc.Identity{Name: name}).IsAgent() || r.routed[name] || r.routed[host] {
			continue
		}

		_, err := r.client.NetworkingV1().VirtualServices(namespace).Create(ctx, onceOnly(name, host), metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("route service %s: %w", name, err)
		}

		r.routed[host] = true
	}

	return nil
}

func (r *registry) writeWorkloads(ctx context.Context, wanted map[string]*networkingv1.WorkloadEntry) error {
	api := r.client.NetworkingV1().WorkloadEntries(namespace)

	for name := range maps.Clone(r.workloads) {
		if wanted[name] != nil {
			continue
		}

		if err := api.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("remove workload %s: %w", name, err)
		}

		delete(r.workloads, name)
	}

	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		entry, known := wanted[name], r.workloads[name]
		if known != nil && sameWorkload(known, entry) {
			continue
		}

		written, err := writeWorkload(ctx, r.client, known, entry)
		if err != nil {
			return fmt.Errorf("write workload %s: %w", name, err)
		}

		r.workloads[name] = written
	}

	return nil
}

func writeWorkload(
	ctx context.Context, client versioned.Interface, known, entry *networkingv1.WorkloadEntry,
) (*networkingv1.WorkloadEntry, error) {
	api := client.NetworkingV1().WorkloadEntries(namespace)
	if known == nil {
		return api.Create(ctx, entry, metav1.CreateOptions{}) //nolint:wrapcheck // the caller names it
	}

	entry.ResourceVersion = known.ResourceVersion

	return api.Update(ctx, entry, metav1.UpdateOptions{}) //nolint:wrapcheck // as above
}

func sameWorkload(a, b *networkingv1.WorkloadEntry) bool {
	return a.Annotations[xds.ReadyAnnotation] == b.Annotations[xds.ReadyAnnotation] &&
		a.Spec.GetAddress() == b.Spec.GetAddress() && maps.Equal(a.Spec.GetPorts(), b.Spec.GetPorts()) &&
		maps.Equal(a.Spec.GetLabels(), b.Spec.GetLabels())
}

// serviceEntry makes a service known to the mesh under the name that it would have in a cluster.
func serviceEntry(name string) *networkingv1.ServiceEntry {
	return &networkingv1.ServiceEntry{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: istionet.ServiceEntry{
			Hosts:            []string{rpc.Host(namespace, name)},
			Ports:            []*istionet.ServicePort{{Number: meshPort, Name: "grpc", Protocol: "GRPC"}},
			Location:         istionet.ServiceEntry_MESH_INTERNAL,
			Resolution:       istionet.ServiceEntry_STATIC,
			WorkloadSelector: &istionet.WorkloadSelector{Labels: map[string]string{"app": name}},
		},
	}
}

// onceOnly routes a service without retries of the mesh: without a VirtualService Istio has clients send twice more what
// came to nothing, also where it was carried out. What may be sent again, package rpc knows.
func onceOnly(name, host string) *networkingv1.VirtualService {
	return &networkingv1.VirtualService{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: istionet.VirtualService{
			Hosts: []string{host},
			Http: []*istionet.HTTPRoute{{
				Name: "once", Retries: &istionet.HTTPRetry{Attempts: 0},
				Route: []*istionet.HTTPRouteDestination{{Destination: &istionet.Destination{Host: host}}},
			}},
		},
	}
}

func workloadEntry(workload *plannedWorkload, ready bool) *networkingv1.WorkloadEntry {
	host, port, _ := net.SplitHostPort(workload.addresses["grpc"]) // a listener's own
	number, _ := strconv.ParseUint(port, 10, 16)

	return &networkingv1.WorkloadEntry{
		ObjectMeta: metav1.ObjectMeta{
			Name: workload.name, Namespace: namespace, Labels: workload.labels(),
			Annotations: map[string]string{xds.ReadyAnnotation: strconv.FormatBool(ready)},
		},
		Spec: istionet.WorkloadEntry{
			Address: host, Ports: map[string]uint32{"grpc": uint32(number)}, Labels: workload.labels(),
			ServiceAccount: workload.config.Name,
		},
	}
}
