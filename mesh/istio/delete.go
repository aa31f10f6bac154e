package istio

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Delete takes away what Serin owns: routes, then subsets once every proxy has heard of that, then the AuthorizationPolicy.
// An object that Serin created goes when nothing else is in it; weights of adopted routes stay as they are. It returns
// [ErrWaiting] if it has to be called again.
func (r *Router) Delete(ctx context.Context, agent Agent) error {
	for _, part := range []func(context.Context, Agent) error{
		r.deleteRoutes, r.deleteSubsets, r.deleteService, r.deletePolicy,
	} {
		if err := retry(ctx, func() error { return part(ctx, agent) }); err != nil {
			return fmt.Errorf("agent %s: delete: %w", agent.Name, err)
		}
	}

	r.drop(agent)

	return nil
}

// deleteRoutes leaves the plain route if nothing else is left: an object without routes is none that Istio takes, and one
// that goes at once says nothing of who has heard of it.
func (r *Router) deleteRoutes(ctx context.Context, agent Agent) error {
	w, err := r.look(ctx, agent)
	if err != nil || w.service == nil || w.serviceMark.raw == nil && (agent.Adopt || w.plain()) {
		return err
	}

	e := &editor{agent: agent, service: w.service, routes: w.service.DeepCopy().Spec.GetHttp()}
	if !agent.Adopt {
		e.clear(nil, w.serviceMark)
	}

	if len(e.routes)+len(w.service.Spec.GetTcp())+len(w.service.Spec.GetTls()) == 0 {
		e.insert(0, agent.plainRoute())
	}

	e.unmark(w.serviceMark)

	if e.empty() {
		return nil
	}

	services := r.config.Client.NetworkingV1().VirtualServices(agent.Namespace)
	_, err = services.Patch(ctx, w.serviceName, types.JSONPatchType, e.json(), metav1.PatchOptions{FieldManager: manager})

	return err //nolint:wrapcheck // Delete wraps it
}

// plain reports whether the plain route is all that the VirtualService has.
func (w world) plain() bool {
	routes := w.routes()

	return len(routes)+len(w.service.Spec.GetTcp())+len(w.service.Spec.GetTls()) == 1 && len(routes) == 1 &&
		equal(routes[0], w.agent.plainRoute())
}

// deleteSubsets takes the subsets away like a routing without any revision would.
func (r *Router) deleteSubsets(ctx context.Context, agent Agent) error {
	w, err := r.look(ctx, agent)
	if err == nil {
		err = r.lookFurther(ctx, &w, &Routing{})
	}

	if err != nil || agent.Adopt || w.rule == nil {
		return err
	}

	w.serviceTaken = w.serviceTaken || w.service == nil // someone deleted it: nothing tells how far that is

	e := &subsetEditor{left: w.subsets()}
	e.takeAway(w, Routing{})

	if err := r.deleteFromRule(ctx, w, e); err != nil {
		return err
	}

	switch {
	case e.waiting != "":
		return fmt.Errorf("%w %s", ErrWaiting, e.waiting)
	case e.problem != "":
		return errors.New(e.problem)
	default:
		return nil
	}
}

// deleteFromRule deletes the DestinationRule if it is Serin's and nothing is left in it.
func (r *Router) deleteFromRule(ctx context.Context, w world, e *subsetEditor) error {
	rules := r.config.Client.NetworkingV1().DestinationRules(w.agent.Namespace)
	foreign := len(w.allSubsets()) > len(w.subsets()) || !ownPolicy(w.rule.Spec.GetTrafficPolicy())

	if len(e.left) == 0 && !foreign && created(w.rule) {
		return gone(rules.Delete(ctx, w.ruleName, precisely(w.rule)))
	}

	if len(e.left) == 0 {
		e.unmark(w.ruleMark)
	}

	if e.empty() {
		return nil
	}

	_, err := rules.Patch(ctx, w.ruleName, types.JSONPatchType, e.json(), metav1.PatchOptions{FieldManager: manager})

	return err //nolint:wrapcheck // Delete wraps it
}

func (r *Router) deleteService(ctx context.Context, agent Agent) error {
	w, err := r.look(ctx, agent)
	if err != nil || w.service == nil || !created(w.service) || !w.plain() {
		return err
	}

	return gone(r.config.Client.NetworkingV1().VirtualServices(agent.Namespace).Delete(ctx, w.serviceName, precisely(w.service)))
}

func (r *Router) deletePolicy(ctx context.Context, agent Agent) error {
	own, _, err := r.policies(ctx, agent)
	if err != nil {
		return err
	}

	return r.revoke(ctx, own)
}

// created reports whether Serin made the object.
func created(object metav1.Object) bool { return object.GetLabels()[managedLabel] == manager }

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
