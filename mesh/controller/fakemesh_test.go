package controller_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/serinhq/serin/mesh/istio"
)

// fakeMesh is a mesh in which every write is done and propagated at once.
type fakeMesh struct {
	mu       sync.Mutex
	agents   map[string]*meshAgent
	callers  map[string][]string
	watchers map[chan struct{}]string
	// refuse is asked ahead of each call.
	refuse func(call, agent string) error
}

type meshAgent struct {
	routing istio.Routing
	// taken are the weights that were ever carried, by attempt and candidate, in order.
	carried []istio.Intent
}

func newFakeMesh() *fakeMesh {
	return &fakeMesh{
		agents: map[string]*meshAgent{}, callers: map[string][]string{}, watchers: map[chan struct{}]string{},
		refuse: func(string, string) error { return nil },
	}
}

func (m *fakeMesh) asked(call, agent string) error {
	m.mu.Lock()
	refuse := m.refuse
	m.mu.Unlock()

	return refuse(call, agent)
}

func (m *fakeMesh) setRefuse(refuse func(call, agent string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.refuse = refuse
}

func (m *fakeMesh) Apply(_ context.Context, agent istio.Agent, routing istio.Routing) (istio.Progress, error) {
	if err := m.asked("apply", agent.Name); err != nil {
		return istio.Progress{}, err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	found := m.agents[agent.Name]
	if found == nil {
		found = &meshAgent{}
		m.agents[agent.Name] = found
	}

	old := found.routing.Intent
	if stale(old, routing.Intent) {
		return found.progress(), fmt.Errorf("%w: %+v", istio.ErrStale, old)
	}

	if old != routing.Intent {
		found.carried = append(found.carried, routing.Intent)
	}

	found.routing = routing
	m.tell(agent.Name)

	return found.progress(), nil
}

// stale reports whether a decision must not be written over another: of two of the same number an abort wins.
func stale(old, intent istio.Intent) bool {
	if old.Attempt != intent.Attempt || old.Seq != intent.Seq {
		return old.Attempt > intent.Attempt || old.Attempt == intent.Attempt && old.Seq > intent.Seq
	}

	return old != intent && (intent.Candidate != "" || old.Candidate == "")
}

func (a *meshAgent) progress() istio.Progress {
	intent := a.routing.Intent

	return istio.Progress{Done: true, Observed: &intent, Routed: slices.Clone(a.routing.Live), Weight: intent.Weight}
}

func (m *fakeMesh) Observe(_ context.Context, agent istio.Agent) (istio.Progress, error) {
	if err := m.asked("observe", agent.Name); err != nil {
		return istio.Progress{}, err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	if found := m.agents[agent.Name]; found != nil {
		return found.progress(), nil
	}

	return istio.Progress{}, nil
}

func (m *fakeMesh) Watch(ctx context.Context, agent istio.Agent, changed func()) error {
	wake := make(chan struct{}, 1)

	m.mu.Lock()
	m.watchers[wake] = agent.Name
	m.mu.Unlock()

	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()

		delete(m.watchers, wake)
	}()

	for {
		changed()

		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		}
	}
}

func (m *fakeMesh) tell(agent string) {
	for wake, name := range m.watchers {
		if name == agent {
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	}
}

func (m *fakeMesh) Delete(_ context.Context, agent istio.Agent) error {
	if err := m.asked("delete", agent.Name); err != nil {
		return err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	delete(m.agents, agent.Name)
	delete(m.callers, agent.Name)

	return nil
}

func (m *fakeMesh) Authorize(_ context.Context, agent istio.Agent, callers []string) error {
	if err := m.asked("authorize", agent.Name); err != nil {
		return err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	m.callers[agent.Name] = slices.Clone(callers)

	return nil
}

// routing is what an agent's objects say.
func (m *fakeMesh) routing(agent string) istio.Routing {
	m.mu.Lock()
	defer m.mu.Unlock()

	if found := m.agents[agent]; found != nil {
		return found.routing
	}

	return istio.Routing{}
}

// carried are all decisions that an agent's objects ever carried.
func (m *fakeMesh) carried(agent string) []istio.Intent {
	m.mu.Lock()
	defer m.mu.Unlock()

	if found := m.agents[agent]; found != nil {
		return slices.Clone(found.carried)
	}

	return nil
}

func (m *fakeMesh) mayCall() map[string][]string {
	m.mu.Lock()
	defer m.mu.Unlock()

	return maps.Clone(m.callers)
}
