package e2e_test

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/e2e/install"
)

// budget waits until so many pods of a revision are kept while nodes are drained; with 0, that there is no budget.
func (p *platform) budget(name string, healthy int64) {
	p.Helper()

	p.eventually(fmt.Sprintf("%d pods of %s are kept", healthy, name), func(ctx context.Context) error {
		found := &policyv1.PodDisruptionBudget{}

		switch err := shared.Client.Get(ctx, client.ObjectKey{Namespace: install.Namespace, Name: name}, found); {
		case apierrors.IsNotFound(err) && healthy == 0:
			return nil
		case err != nil:
			return err
		case healthy == 0 || int64(found.Status.DesiredHealthy) != healthy || int64(found.Status.ExpectedPods) != 2*healthy:
			return fmt.Errorf("%+v", found.Status)
		default:
			return nil
		}
	})
}

// courierScales has autoscalers decide, which nobody runs on this cluster: the test writes what one would.
func (p *platform) courierScales() {
	name, other := "courier-"+p.rollout("courier").GetStable(), "triage-"+p.rollout("triage").GetStable()

	p.autoscaling(`"image"`, `"autoscaling": true, "image"`)
	p.scaler(name, 1)
	p.edit("courier", int64(2), "spec", "scaling", "minReplicas")
	p.scaler(name, 2)
	p.wantReplicas(name, 1) // nobody has written it yet; it is not Serin's any more
	p.scaler(other, 2)
	p.wantReplicas(other, 2)

	found := p.deployment(name)
	p.must(shared.Client.SubResource("scale").Update(p.Context(), found, client.WithSubResourceBody(&autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: found.Namespace, Name: found.Name}, Spec: autoscalingv1.ScaleSpec{Replicas: 3},
	}), client.FieldOwner("kube-controller-manager")))
	p.wantReplicas(name, 3)

	p.edit("courier", int64(1), "spec", "scaling", "minReplicas")
	p.scaler(name, 1)
	p.wantReplicas(name, 3)

	p.autoscaling(`"autoscaling": true, "image"`, `"image"`)
	p.scaler(name, 0)
	p.eventually(name+" is as large as its Agent says", func(context.Context) error {
		if got := *p.deployment(name).Spec.Replicas; got != 1 {
			return fmt.Errorf("it has %d", got)
		}

		return nil
	})
	p.rolloutSoon("courier") // the gateway has found the controller that leads now
}

// autoscaling changes the controllers' configuration, and starts them again.
func (p *platform) autoscaling(before, after string) {
	p.Helper()

	config := &corev1.ConfigMap{}
	p.must(shared.Client.Get(p.Context(), client.ObjectKey{Namespace: install.Namespace, Name: "serin-config"}, config))
	config.Data["controller.json"] = replaced(config.Data["controller.json"], before, after)
	p.must(shared.Client.Update(p.Context(), config))

	for _, pod := range p.podsOfApp(rpc.Controller) {
		p.must(client.IgnoreNotFound(shared.Client.Delete(p.Context(), &pod)))
	}
}

// scaler waits until a revision has an autoscaler that keeps so many pods at least; with 0, that it has none.
func (p *platform) scaler(name string, least int32) {
	p.Helper()

	p.eventually(fmt.Sprintf("the autoscaler of %s keeps %d", name, least), func(ctx context.Context) error {
		found := &autoscalingv2.HorizontalPodAutoscaler{}

		switch err := shared.Client.Get(ctx, client.ObjectKey{Namespace: install.Namespace, Name: name}, found); {
		case apierrors.IsNotFound(err) && least == 0:
			return nil
		case err != nil:
			return err
		case least == 0 || *found.Spec.MinReplicas != least || found.Spec.MaxReplicas != 20 || len(found.Spec.Metrics) != 2:
			return fmt.Errorf("%+v", found.Spec)
		default:
			return nil
		}
	})
}

func (p *platform) deployment(name string) *appsv1.Deployment {
	p.Helper()

	found := &appsv1.Deployment{}
	p.must(shared.Client.Get(p.Context(), client.ObjectKey{Namespace: install.Namespace, Name: name}, found))

	return found
}

func (p *platform) wantReplicas(name string, want int32) {
	p.Helper()

	if got := *p.deployment(name).Spec.Replicas; got != want {
		p.Fatalf("%s has %d pods, want %d", name, got, want)
	}
}

// courierIsolated has the network let through what handoffs need, before an edit of them.
func (p *platform) courierIsolated() {
	p.isolated("courier", nil, []string{"depot"})
	p.isolated("depot", []string{"courier"}, nil)

	p.isolated("billing", []string{"triage"}, []string{"scheduling"})
}

// isolated waits until pods of other agents may reach an agent's, and be reached by them, as its handoffs say.
func (p *platform) isolated(agent string, callers, callees []string) {
	p.Helper()

	p.eventually(fmt.Sprintf("%s is called by %v and calls %v", agent, callers, callees), func(ctx context.Context) error {
		found := &networkingv1.NetworkPolicy{}
		if err := shared.Client.Get(ctx, client.ObjectKey{Namespace: install.Namespace, Name: "serin-agent-" + agent}, found); err != nil {
			return err
		}

		in, out := appsOf(found.Spec.Ingress[0].From), appsOf(found.Spec.Egress[0].To)
		if !slices.Equal(in, append([]string{rpc.Gateway}, callers...)) || !slices.Equal(out, callees) {
			return fmt.Errorf("from %v, to %v", in, out)
		}

		return nil
	})
}

// appsOf are the apps whose pods are selected.
func appsOf(peers []networkingv1.NetworkPolicyPeer) []string {
	apps := []string{}

	for _, peer := range peers {
		if app := peer.PodSelector.MatchLabels["app"]; app != "" {
			apps = append(apps, app)
		}
	}

	return apps
}
