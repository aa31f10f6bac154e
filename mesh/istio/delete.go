package istio

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Delete takes away what Serin owns: routes, then subsets, then the AuthorizationPolicy. An object that has nothing else
// left is deleted; weights of adopted routes stay as they are.
func (r *Router) Delete(ctx context.Context, agent Agent) error {
	for _, part := range []func(context.Context, Agent) error{r.deleteRoutes, r.deleteSubsets, r.deletePolicy} {
		if err := retry(ctx, func() error { return part(ctx, agent) }); err != nil {
			return fmt.Errorf("agent %s: delete: %w", agent.Name, err)
		}
	}

	r.forget(agent)

	return nil
}

func (r *Router) deleteRoutes(ctx context.Context, agent Agent) error {
	w, err := r.look(ctx, agent)
	if err != nil || w.service == nil || w.serviceMark.raw == nil {
		return err
	}

	services := r.config.Client.NetworkingV1().VirtualServices(agent.Namespace)

	e := &editor{agent: agent, routes: w.service.DeepCopy().Spec.GetHttp()}
	if !agent.Adopt {
		e.clear(nil, w.serviceMark)
	}

	if len(e.routes)+len(w.service.Spec.GetTcp())+len(w.service.Spec.GetTls()) == 0 {
		return gone(services.Delete(ctx, w.serviceName, precisely(w.service)))
	}

	e.unmark(w.serviceMark)
	_, err = services.Patch(ctx, w.serviceName, types.JSONPatchType, e.json(), metav1.PatchOptions{FieldManager: manager})

	return err //nolint:wrapcheck // Delete wraps it
}

func (r *Router) deleteSubsets(ctx context.Context, agent Agent) error {
	w := world{agent: agent}
	if err := r.findRule(ctx, &w); err != nil || w.rule == nil || agent.Adopt {
		return err
	}

	w.ruleMark = readMark(w.rule)
	found := w.subsets()

	if w.ruleMark.raw == nil && len(found) == 0 {
		return nil
	}

	rules := r.config.Client.NetworkingV1().DestinationRules(agent.Namespace)
	if len(found) == len(w.allSubsets()) && w.rule.Spec.GetTrafficPolicy() == nil {
		return gone(rules.Delete(ctx, w.ruleName, precisely(w.rule)))
	}

	var change patch

	for _, s := range slices.Backward(found) {
		change.test(at("spec", "subsets", s.index, "name"), subsetPrefix+s.revision)
		change.remove(at("spec", "subsets", s.index))
	}

	change.unmark(w.ruleMark)
	_, err := rules.Patch(ctx, w.ruleName, types.JSONPatchType, change.json(), metav1.PatchOptions{FieldManager: manager})

	return err //nolint:wrapcheck // Delete wraps it
}

func (r *Router) deletePolicy(ctx context.Context, agent Agent) error {
	policy, _, err := r.policy(ctx, agent)
	if err != nil || policy == nil {
		return err
	}

	return gone(r.config.Client.SecurityV1().AuthorizationPolicies(agent.Namespace).Delete(ctx, policy.Name, precisely(policy)))
}

// precisely makes a deletion fail if the object is not as it was read.
func precisely(object metav1.Object) metav1.DeleteOptions {
	uid, version := object.GetUID(), object.GetResourceVersion()

	return metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}}
}

func gone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}

	return err
}
