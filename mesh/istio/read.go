package istio

import (
	"context"
	"fmt"
	"slices"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// names are the objects of an agent that carry its mark: they need not be looked for again.
type names struct{ service, rule string }

// look reads the agent's VirtualService.
func (r *Router) look(ctx context.Context, agent Agent) (world, error) {
	w := world{agent: agent}

	if err := r.findService(ctx, &w); err != nil || w.service == nil {
		return w, err
	}

	w.serviceMark = readMark(w.service)
	taken, err := r.config.Propagation.Propagated(ctx, w.service)
	w.serviceTaken = taken

	if err != nil {
		return w, fmt.Errorf("propagation of VirtualService %s: %w", w.serviceName, err)
	}

	return w, nil
}

// lookFurther reads the agent's DestinationRule, and who else names subsets that shall go.
func (r *Router) lookFurther(ctx context.Context, w *world, routing *Routing) error {
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

// chooseService picks the VirtualService that steers the agent: the one with the mark, or with the agent's name, or the
// oldest, which is the one that takes effect.
func (r *Router) chooseService(w *world, all []*networking.VirtualService) {
	serving := slices.DeleteFunc(slices.Clone(all), func(s *networking.VirtualService) bool { return !w.agent.served(s) })
	taken := func(name string) bool {
		return slices.ContainsFunc(all, func(s *networking.VirtualService) bool { return s.Name == name })
	}

	w.serviceName = w.agent.free(taken)

	if len(serving) == 0 {
		return
	}

	w.service = slices.MinFunc(serving, func(a, b *networking.VirtualService) int { return w.agent.rank(a, b) })
	w.serviceName = w.service.Name

	for _, s := range serving {
		if s != w.service {
			w.rivals = append(w.rivals, s.Name)
		}
	}

	if len(w.rivals) == 0 && readMark(w.service).raw != nil {
		r.remember(w.agent, names{service: w.serviceName})
	}
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

func (r *Router) chooseRule(w *world, all []*networking.DestinationRule) {
	ruling := slices.DeleteFunc(slices.Clone(all), func(d *networking.DestinationRule) bool { return !w.agent.ruled(d) })
	taken := func(name string) bool {
		return slices.ContainsFunc(all, func(d *networking.DestinationRule) bool { return d.Name == name })
	}

	w.ruleName = w.agent.free(taken)
	w.defined = map[string]bool{}

	for _, d := range ruling {
		for _, s := range d.Spec.GetSubsets() {
			w.defined[s.GetName()] = true
		}
	}

	if len(ruling) == 0 {
		return
	}

	w.rule = slices.MinFunc(ruling, func(a, b *networking.DestinationRule) int { return w.agent.rank(a, b) })
	w.ruleName = w.rule.Name

	if readMark(w.rule).raw != nil {
		r.remember(w.agent, names{rule: w.ruleName})
	}
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

// served reports whether a VirtualService steers calls to the agent inside the mesh.
func (a Agent) served(service *networking.VirtualService) bool {
	gateways := service.Spec.GetGateways()
	mesh := len(gateways) == 0 || slices.Contains(gateways, "mesh")

	return mesh && slices.ContainsFunc(service.Spec.GetHosts(), a.is)
}

// ruled reports whether a DestinationRule is for the agent, and for all its callers.
func (a Agent) ruled(rule *networking.DestinationRule) bool {
	return a.is(rule.Spec.GetHost()) && len(rule.Spec.GetWorkloadSelector().GetMatchLabels()) == 0
}
