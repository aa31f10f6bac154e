package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/serinhq/serin/mesh/canary"
	"github.com/serinhq/serin/mesh/istio"
)

// driftInterval is how often objects that are as wanted are looked at, should a watch have missed something.
const driftInterval = 10 * time.Second

// order is what an agent's objects shall be. The zero value only looks.
type order struct {
	agent istio.Agent
	// routing is nil while nothing was decided.
	routing *istio.Routing
	// delete takes away all that is Serin's.
	delete bool
}

// mesh keeps one agent's objects as they were ordered.
type mesh struct {
	config *Config
	agent  istio.Agent
	worker *worker[*order]
	// changed is called after each look at the objects.
	changed func()

	mu   sync.Mutex
	seen meshSeen
}

// meshSeen is what the last look at the objects came to.
type meshSeen struct {
	// known says that there was a look.
	known    bool
	progress istio.Progress
	// carried is the order that the objects are at, as far as progress says; nil if they are at none.
	carried *order
	// done says that the objects were as ordered once.
	done    bool
	deleted bool
	problem string
}

func newMesh(config *Config, agent istio.Agent, changed func()) *mesh {
	m := &mesh{config: config, agent: agent, changed: changed}
	m.worker = newWorker(m.work)
	m.worker.value = &order{agent: agent}

	return m
}

func (m *mesh) look() meshSeen {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.seen
}

// work makes one step towards the order.
func (m *mesh) work(ctx context.Context, wanted *order) time.Duration {
	seen := m.look()
	seen.deleted = false

	switch {
	case wanted.delete:
		err := m.config.Router.Delete(ctx, wanted.agent)
		seen.deleted = err == nil

		if errors.Is(err, istio.ErrWaiting) { // that takes a while, and is no problem
			err = nil
		}

		seen.problem = problem("mesh", err)
	case wanted.routing == nil:
		seen = m.observed(ctx, wanted, seen)
	default:
		seen = m.applied(ctx, wanted, seen)
	}

	if ctx.Err() != nil { // a newer order is there, or the end
		return 0
	}

	m.mu.Lock()
	m.seen = seen
	m.mu.Unlock()
	m.changed()

	switch {
	case seen.deleted:
		return 0
	case seen.problem != "", wanted.delete, wanted.routing != nil && !seen.progress.Done:
		return m.config.Interval
	default:
		return driftInterval
	}
}

func (m *mesh) observed(ctx context.Context, wanted *order, seen meshSeen) meshSeen {
	progress, err := m.config.Router.Observe(ctx, wanted.agent)
	if err != nil {
		seen.problem = problem("mesh", err)

		return seen
	}

	return meshSeen{known: true, progress: progress, done: seen.done}
}

// applied writes what is safe now. If that fails, it at least looks: the objects may carry a newer decision.
func (m *mesh) applied(ctx context.Context, wanted *order, seen meshSeen) meshSeen {
	progress, err := m.config.Router.Apply(ctx, wanted.agent, *wanted.routing)
	if err != nil {
		after := m.observed(ctx, wanted, seen)
		after.carried, after.progress.Done = nil, false
		after.problem = problem("mesh", err)

		return after
	}

	return meshSeen{known: true, progress: progress, carried: wanted, done: seen.done || progress.Done}
}

// watch looks again after each change by anyone.
func (m *mesh) watch(ctx context.Context) {
	for ctx.Err() == nil {
		err := m.config.Router.Watch(ctx, m.agent, m.worker.poke) // a watch that ended is begun again
		if err != nil && ctx.Err() == nil {
			m.config.Telemetry.Logger.WarnContext(ctx, "the mesh can't be watched; changes are seen a while later", "error", err)
		}

		if !sleep(ctx, time.Second) {
			return
		}

		m.worker.poke()
	}
}

// intentOf reads the mesh's intent in the engine's words.
func intentOf(intent *istio.Intent) *canary.Intent {
	if intent == nil {
		return nil
	}

	return &canary.Intent{
		Attempt: intent.Attempt, Seq: intent.Seq, Phase: canary.Phase(intent.Phase),
		Stable: intent.Stable, Candidate: intent.Candidate, Weight: intent.Weight,
	}
}

// routingOf writes what the engine wants in the mesh's words.
func routingOf(wanted canary.Wanted, excluded []string) *istio.Routing {
	return &istio.Routing{
		Intent: istio.Intent{
			Attempt: wanted.Intent.Attempt, Seq: wanted.Intent.Seq, Phase: string(wanted.Intent.Phase),
			Stable: wanted.Intent.Stable, Candidate: wanted.Intent.Candidate, Weight: wanted.Intent.Weight,
		},
		Live: wanted.Live, Redirects: wanted.Redirects, ExcludedTenants: excluded,
	}
}
