package controller

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics tell of decisions, and of how the agents are when someone looks.
type metrics struct {
	decisions metric.Int64Counter
}

// newMetrics makes the instruments. Gauges are read from the agents; they are absent while another controller leads.
func newMetrics(meter metric.Meter, all *agents) (*metrics, error) {
	decisions, decisionsErr := meter.Int64Counter("serin_rollout_decisions_total",
		metric.WithDescription("Decisions about rollouts, by agent and action."))
	weight, weightErr := meter.Int64ObservableGauge("serin_rollout_weight",
		metric.WithDescription("The canary's share of new conversations in percent, by agent: decided, and carried by the mesh."))
	phase, phaseErr := meter.Int64ObservableGauge("serin_rollout_phase",
		metric.WithDescription("1 for the phase that the agent's rollout is in."))
	ready, readyErr := meter.Int64ObservableGauge("serin_revision_ready_replicas",
		metric.WithDescription("Ready processes by agent, revision and what the revision is for."))
	problems, problemsErr := meter.Int64ObservableGauge("serin_rollout_problems",
		metric.WithDescription("How many things are wrong with the agent now: see serin canary status."))

	if err := errors.Join(decisionsErr, weightErr, phaseErr, readyErr, problemsErr); err != nil {
		return nil, fmt.Errorf("controller: metrics: %w", err)
	}

	_, err := meter.RegisterCallback(func(_ context.Context, observer metric.Observer) error {
		for _, one := range all.all() {
			view := one.view()
			agent := attribute.String("agent", one.name)

			observer.ObserveInt64(weight, int64(view.GetWeight()), metric.WithAttributes(agent, attribute.String("state", "decided")))
			observer.ObserveInt64(weight, int64(view.GetAppliedWeight()), metric.WithAttributes(agent, attribute.String("state", "carried")))
			observer.ObserveInt64(phase, 1, metric.WithAttributes(agent, attribute.String("phase", string(one.current().State.Phase))))
			observer.ObserveInt64(problems, int64(len(view.GetProblems())), metric.WithAttributes(agent))

			for _, revision := range view.GetRevisions() {
				observer.ObserveInt64(ready, int64(revision.GetReadyReplicas()), metric.WithAttributes(agent,
					attribute.String("revision", revision.GetRevision()), attribute.String("role", revision.GetRole())))
			}
		}

		return nil
	}, weight, phase, ready, problems)
	if err != nil {
		return nil, fmt.Errorf("controller: metrics: %w", err)
	}

	return &metrics{decisions: decisions}, nil
}

func (m *metrics) decided(ctx context.Context, agent, action string) {
	m.decisions.Add(ctx, 1, metric.WithAttributes(attribute.String("agent", agent), attribute.String("action", action)))
}
