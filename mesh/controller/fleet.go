package controller

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
)

// fleetAgain is how long after a failure the fleet tries again.
const fleetAgain = 250 * time.Millisecond

// member is one agent of the fleet.
type member struct {
	// declaration is empty once the agent is not declared any more.
	declaration string
	revisions   []runnable
}

// runnable is a revision that shall run.
type runnable struct {
	name, declaration string
	handoffs          []string
	// share is the least part of the agent's size that shall run, in percent; 0 means all of it.
	share int
	// slot is the hand-written subset that its processes are in, if the agent is adopted.
	slot string
}

// roster is all that shall run.
type roster struct {
	members map[string]member
	servers []string
}

// fleet has processes run and says who may call whom. Callers are widened before a revision runs and narrowed after it
// was stopped.
type fleet struct {
	config *Config
	worker *worker[struct{}]
	// changed is called when a problem comes or goes.
	changed func()

	mu      sync.Mutex
	wanted  roster
	problem string

	// What was carried out; only the worker uses these.
	running    roster
	applied    bool
	authorized map[string][]string
}

func newFleet(config *Config, changed func()) *fleet {
	f := &fleet{config: config, changed: changed, authorized: map[string][]string{}}
	f.wanted.members = map[string]member{}
	f.worker = newWorker(f.work)

	return f
}

// set says what of an agent shall run.
func (f *fleet) set(agent string, wanted member) {
	f.mu.Lock()
	same := reflect.DeepEqual(f.wanted.members[agent], wanted)
	f.wanted.members[agent] = wanted
	f.mu.Unlock()

	if !same {
		f.worker.poke()
	}
}

// drop says that nothing of an agent shall run.
func (f *fleet) drop(agent string) {
	f.mu.Lock()
	delete(f.wanted.members, agent)
	f.mu.Unlock()
	f.worker.poke()
}

func (f *fleet) setServers(servers []string) {
	f.mu.Lock()
	f.wanted.servers = servers
	f.mu.Unlock()
	f.worker.poke()
}

func (f *fleet) servers() []string {
	f.mu.Lock()
	defer f.mu.Unlock()

	return f.wanted.servers
}

// trouble says what is in the way.
func (f *fleet) trouble() string {
	f.mu.Lock()
	defer f.mu.Unlock()

	return f.problem
}

func (f *fleet) snapshot() roster {
	f.mu.Lock()
	defer f.mu.Unlock()

	return roster{members: maps.Clone(f.wanted.members), servers: f.wanted.servers}
}

func (f *fleet) work(ctx context.Context, _ struct{}) time.Duration {
	trouble := problem("processes", f.carryOut(ctx, f.snapshot()))
	if ctx.Err() != nil {
		return 0
	}

	f.mu.Lock()
	told := f.problem == trouble
	f.problem = trouble
	f.mu.Unlock()

	if !told {
		f.changed()
	}

	if trouble != "" {
		return fleetAgain
	}

	return 0
}

// carryOut lets the new be called, has everything run, and no longer lets the old be called.
func (f *fleet) carryOut(ctx context.Context, wanted roster) error {
	if f.applied && reflect.DeepEqual(f.running, wanted) {
		return nil
	}

	widened := f.authorize(ctx, callersOf(wanted, f.running))

	// Processes do not wait for policies: one that can't be written is reported, and must not stop what runs elsewhere.
	if _, err := f.config.Workloads.Apply(ctx, wanted.request()); err != nil {
		return errors.Join(err, widened)
	}

	f.running = wanted
	err := errors.Join(widened, f.authorize(ctx, callersOf(wanted)))
	f.applied = err == nil

	return err
}

// authorize writes the policies that are not as they shall be. Agents that are gone have none: they were deleted.
func (f *fleet) authorize(ctx context.Context, wanted map[string][]string) error {
	var failed error

	for _, agent := range slices.Sorted(maps.Keys(wanted)) {
		before, known := f.authorized[agent]
		if known && slices.Equal(before, wanted[agent]) {
			continue
		}

		if err := f.config.Router.Authorize(ctx, f.config.target(agent, false), wanted[agent]); err != nil {
			failed = errors.Join(failed, err)

			continue
		}

		f.authorized[agent] = wanted[agent]
	}

	maps.DeleteFunc(f.authorized, func(agent string, _ []string) bool { return wanted[agent] == nil })

	return failed
}

func (r roster) request() *workloadv1.ApplyRequest {
	request := &workloadv1.ApplyRequest{ToolServers: r.servers}

	for _, name := range slices.Sorted(maps.Keys(r.members)) {
		agent := &workloadv1.Agent{Name: name, Declaration: r.members[name].declaration}
		for _, revision := range r.members[name].revisions {
			agent.Revisions = append(agent.Revisions, &workloadv1.Revision{
				Revision: revision.name, Declaration: revision.declaration, Share: percent(revision.share), Slot: revision.slot,
			})
		}

		request.Agents = append(request.Agents, agent)
	}

	return request
}

// declared returns the names of the agents that are declared.
func (r roster) declared() []string {
	names := []string{}

	for _, name := range slices.Sorted(maps.Keys(r.members)) {
		if strings.TrimSpace(r.members[name].declaration) != "" {
			names = append(names, name)
		}
	}

	return names
}
