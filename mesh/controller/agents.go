package controller

import (
	"context"
	"maps"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

// agents are all agents that someone decides for.
type agents struct {
	config *Config
	shared *shared

	mu      sync.Mutex
	ctx     context.Context
	running sync.WaitGroup
	known   map[string]*agent
	// buried are the records of agents of which nothing is left.
	buried map[string]Record
}

func newAgents(config *Config) *agents {
	a := &agents{config: config, known: map[string]*agent{}, buried: map[string]Record{}}
	a.shared = &shared{gone: a.gone}
	a.shared.statuses = &statuses{workloads: config.Workloads, changed: a.wake}
	a.shared.outcomes = newOutcomes(config, a.wakeOne)
	a.shared.fleet = newFleet(config, a.wake)

	return a
}

// load goes on with what was kept. The fleet knows all of it before it does anything.
func (a *agents) load(ctx context.Context) error {
	records, err := a.config.Store.Load(ctx)
	if err != nil {
		return err
	}

	servers, err := a.config.Store.LoadServers(ctx)
	if err != nil {
		return err
	}

	if err := a.shared.outcomes.restore(ctx, records); err != nil {
		return err
	}

	a.shared.fleet.setServers(servers)

	a.mu.Lock()
	defer a.mu.Unlock()

	a.ctx = ctx

	for _, record := range records {
		if record.Gone {
			a.buried[record.Agent] = record

			continue
		}

		a.start(ctx, record)
	}

	return nil
}

// start begins to decide for an agent. It is called with mu held.
func (a *agents) start(ctx context.Context, record Record) *agent {
	one := newAgent(a.config, a.shared, record)
	one.resume(ctx)

	a.known[record.Agent] = one
	a.running.Go(func() { one.run(ctx) })

	return one
}

// add returns the agent of that name, which begins if there is none.
func (a *agents) add(name string) *agent {
	a.mu.Lock()
	defer a.mu.Unlock()

	if one := a.known[name]; one != nil {
		return one
	}

	record, ok := a.buried[name]
	if !ok {
		record = initial(name)
	}

	record.Gone = false
	record.Position = a.shared.outcomes.here()
	a.shared.outcomes.begin(&record)
	delete(a.buried, name)

	return a.start(a.ctx, record)
}

// gone forgets an agent of which nothing is left.
func (a *agents) gone(record Record) {
	a.mu.Lock()
	defer a.mu.Unlock()

	delete(a.known, record.Agent)
	a.buried[record.Agent] = record
}

// all returns the agents by name.
func (a *agents) all() []*agent {
	a.mu.Lock()
	defer a.mu.Unlock()

	all := make([]*agent, 0, len(a.known))
	for _, name := range slices.Sorted(maps.Keys(a.known)) {
		all = append(all, a.known[name])
	}

	return all
}

func (a *agents) get(name string) (*agent, error) {
	a.mu.Lock()
	defer a.mu.Unlock()

	if one := a.known[name]; one != nil {
		return one, nil
	}

	return nil, fault.New(codes.NotFound, "AGENT_UNKNOWN", "there is no agent %q; there are: %s",
		name, listed(slices.Sorted(maps.Keys(a.known))))
}

// ever reports whether there is an agent of that name, or was.
func (a *agents) ever(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()

	_, buried := a.buried[name]

	return buried || a.known[name] != nil
}

func (a *agents) wake() {
	for _, one := range a.all() {
		notify(one.wake)
	}
}

func (a *agents) wakeOne(name string) {
	if one, err := a.get(name); err == nil {
		notify(one.wake)
	}
}
