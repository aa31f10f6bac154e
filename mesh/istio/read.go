package istio

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// names are the objects of an agent that carry its mark: they need not be looked for again.
type names struct{ service, rule string }

// look reads the agent's VirtualService. Whether every proxy has it may stay unknown: an abort does not ask.
func (r *Router) look(ctx context.Context, agent Agent) (world, error) {
	w := world{agent: agent}

	if err := r.findService(ctx, &w); err != nil || w.service == nil {
		return w, err
	}

	w.serviceMark = r.recall(agent, w.service)
	w.serviceTaken, w.serviceUntold = r.config.Propagation.Propagated(ctx, w.service)

	return w, nil
}

// lookFurther reads the agent's DestinationRule, and who else names subsets that shall go.
func (r *Router) lookFurther(ctx context.Context, w *world, routing *Routing) error {
	if w.serviceUntold != nil {
		return fmt.Errorf("propagation of VirtualService %s: %w", w.serviceName, w.serviceUntold)
	}

	if err := r.findRule(ctx, w); err != nil {
		return err
	}

	w.ruleRead = true
	if w.rule == nil || w.agent.Adopt {
		return nil
	}

	w.ruleMark = readMark(w.rule)
	taken, err := r.config.Propagation.Propagated(ctx, w.rule)
	w.ruleTaken = taken

	if err != nil {
		return fmt.Errorf("propagation of DestinationRule %s: %w", w.ruleName, err)
	}

	surplus := func(s subset) bool { return routing != nil && !routing.live(s.revision) }
	if slices.ContainsFunc(w.subsets(), surplus) {
		return r.lookElsewhere(ctx, w)
	}

	return nil
}

func (r *Router) findService(ctx context.Context, w *world) error {
	services := r.config.Client.NetworkingV1().VirtualServices(w.agent.Namespace)

	if known := r.known(w.agent).service; known != "" {
		service, err := services.Get(ctx, known, metav1.GetOptions{})
		if err == nil && w.agent.served(service) && readMark(service).raw != nil {
			w.service, w.serviceName = service, known

			return nil
		}

		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("read VirtualService %s: %w", known, err)
		}

		r.forget(w.agent)
	}

	list, err := services.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list VirtualServices of namespace %s: %w", w.agent.Namespace, err)
	}

	r.chooseService(w, list.Items)

	return nil
}

func (r *Router) findRule(ctx context.Context, w *world) error {
	rules := r.config.Client.NetworkingV1().DestinationRules(w.agent.Namespace)

	if known := r.known(w.agent).rule; known != "" && !w.agent.Adopt {
		rule, err := rules.Get(ctx, known, metav1.GetOptions{})
		if err == nil && w.agent.ruled(rule) && readMark(rule).raw != nil {
			w.rule, w.ruleName = rule, known

			return nil
		}

		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("read DestinationRule %s: %w", known, err)
		}
	}

	list, err := rules.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list DestinationRules of namespace %s: %w", w.agent.Namespace, err)
	}

	r.chooseRule(w, list.Items)

	return nil
}

// lookElsewhere reads which other VirtualServices of the namespace name the agent's subsets.
func (r *Router) lookElsewhere(ctx context.Context, w *world) error {
	list, err := r.config.Client.NetworkingV1().VirtualServices(w.agent.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list VirtualServices of namespace %s: %w", w.agent.Namespace, err)
	}

	w.elsewhere = map[string]string{}

	for _, service := range list.Items {
		for _, d := range destinations(service) {
			if service.Name != w.serviceName && w.agent.is(d.GetHost()) {
				w.elsewhere[d.GetSubset()] = service.Name
			}
		}
	}

	return nil
}
