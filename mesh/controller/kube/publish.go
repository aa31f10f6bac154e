package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/mesh/api/v1alpha1"
)

const (
	// publishAgain is how long after a failure, or without news, all is published again.
	publishAgain = 2 * time.Second
	// followAgain is how long after its end the rollouts are followed again: they may have been loading.
	followAgain = 200 * time.Millisecond
	// lasts is how long something must have been wrong until it is said: what passes by itself must not flap.
	lasts = 5 * time.Second
)

// Follow calls send with all rollouts, and then with those that changed, until ctx ends: see controller.Service.Follow.
type Follow func(ctx context.Context, agent string, send func(*rolloutv1.WatchRolloutsResponse) error) error

// publisher writes into the Agents' status how they are.
type publisher struct {
	config *Config
	store  *Store
	source *Source
	follow Follow

	rollouts map[string]*rolloutv1.Rollout
	// troubled is since when something has been wrong with an agent.
	troubled map[string]time.Time
}

func newPublisher(config *Config, store *Store, source *Source, follow Follow) *publisher {
	return &publisher{
		config: config, store: store, source: source, follow: follow,
		rollouts: map[string]*rolloutv1.Rollout{}, troubled: map[string]time.Time{},
	}
}

// run publishes until ctx ends.
func (p *publisher) run(ctx context.Context) {
	news := make(chan *rolloutv1.WatchRolloutsResponse)

	go func() {
		defer close(news)

		for ctx.Err() == nil {
			_ = p.follow(ctx, "", func(now *rolloutv1.WatchRolloutsResponse) error { // it is begun again
				select {
				case news <- now:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})

			select {
			case <-ctx.Done():
			case <-time.After(followAgain):
			}
		}
	}()

	again := time.NewTicker(publishAgain)
	defer again.Stop()

	for {
		select {
		case now, more := <-news:
			if !more {
				return
			}

			p.take(now)
		case <-again.C:
		}

		if err := p.publish(ctx); err != nil && ctx.Err() == nil {
			p.config.Logger.WarnContext(ctx, "the status of agents could not be written; trying again", "error", err)
		}
	}
}

func (p *publisher) take(now *rolloutv1.WatchRolloutsResponse) {
	for _, rollout := range now.GetRollouts() {
		name := rollout.GetAgent()
		p.rollouts[name] = rollout

		if len(lasting(rollout.GetProblems())) == 0 {
			delete(p.troubled, name)
		} else if p.troubled[name].IsZero() {
			p.troubled[name] = time.Now()
		}
	}

	for _, gone := range now.GetGone() {
		delete(p.rollouts, gone)
		delete(p.troubled, gone)
	}
}

// publish writes the status of those agents whose is not as it shall be.
func (p *publisher) publish(ctx context.Context) error {
	agents := &v1alpha1.AgentList{}
	if err := p.config.Client.List(ctx, agents, client.InNamespace(p.config.Namespace)); err != nil {
		return fmt.Errorf("list agents: %w", err)
	}

	var failed error

	for i := range agents.Items {
		one := &agents.Items[i]
		if equality.Semantic.DeepEqual(one.Status, p.statusOf(one)) {
			continue
		}

		_, err := p.store.editStatus(ctx, one.Name, func(agent *v1alpha1.Agent) error {
			agent.Status = p.statusOf(agent)

			return nil
		})
		if err != nil && !apierrors.IsNotFound(err) {
			failed = errors.Join(failed, err)
		}
	}

	return failed
}

// statusOf is what the status of an agent shall be. The record in it is not the publisher's.
func (p *publisher) statusOf(agent *v1alpha1.Agent) v1alpha1.AgentStatus {
	status := *agent.Status.DeepCopy()
	rollout, invalid := p.rollouts[agent.Name], p.source.problems(agent.Name)

	if observed := p.source.Observed(agent.Name); observed != 0 {
		status.ObservedGeneration = observed
	}

	fill(&status, rollout)
	status.Rejected = p.rejected(rollout)

	var troubles []string
	if since := p.troubled[agent.Name]; !since.IsZero() && time.Since(since) >= lasts {
		troubles = lasting(rollout.GetProblems())
	}

	for _, condition := range conditionsOf(agent, rollout, invalid, troubles) {
		condition.ObservedGeneration = status.ObservedGeneration
		meta.SetStatusCondition(&status.Conditions, condition)
	}

	return status
}

// rejected are the revisions that were aborted or undone, with the reason that the history has.
func (p *publisher) rejected(rollout *rolloutv1.Rollout) []v1alpha1.RejectedRevision {
	all := make([]v1alpha1.RejectedRevision, 0, len(rollout.GetRejected()))

	for _, revision := range rollout.GetRejected() {
		all = append(all, v1alpha1.RejectedRevision{
			Revision: revision, Reason: p.store.whyRejected(rollout.GetAgent(), revision),
		})
	}

	return all
}
