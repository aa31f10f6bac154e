package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/supervise"
)

// fleet runs the agents: one process for each live revision, as the controller wants it. What it was told last is kept
// on disk, so that the agents run at once after a restart.
type fleet struct {
	platform *Platform
	// socket is where the controller reaches it.
	socket *os.File

	mu sync.Mutex
	// wanted is what the controller applied last; declared is it with the declarations read.
	wanted   *workloadv1.ApplyRequest
	declared crew
	// running are the workloads of now, by process; leaving are those that are being stopped.
	running map[string]*plannedWorkload
	leaving map[string]bool
	// failed says why those that shall run could not be started; told is closed, and replaced, when that changes.
	failed  map[string]string
	told    chan struct{}
	changed chan struct{}
}

// openFleet reads what was applied last. If there is nothing, or nothing that can be read any more, the controller
// tells what shall run.
func openFleet(platform *Platform) *fleet {
	f := &fleet{
		platform: platform, wanted: &workloadv1.ApplyRequest{}, declared: crew{servers: platform.set.Servers},
		running: map[string]*plannedWorkload{}, leaving: map[string]bool{},
		failed: map[string]string{}, told: make(chan struct{}), changed: make(chan struct{}, 1),
	}

	wanted, declared, err := readFleet(f.path())

	switch {
	case err == nil:
		f.wanted, f.declared = wanted, declared
	case !errors.Is(err, os.ErrNotExist):
		platform.warn("what ran before can't be read; agents wait for the controller", err)
	}

	return f
}

func readFleet(path string) (*workloadv1.ApplyRequest, crew, error) {
	data, err := os.ReadFile(path) //nolint:gosec // within the data directory
	if err != nil {
		return nil, crew{}, fmt.Errorf("read what ran: %w", err)
	}

	var wanted workloadv1.ApplyRequest
	if err := protojson.Unmarshal(data, &wanted); err != nil {
		return nil, crew{}, fmt.Errorf("read what ran, %s: %w", path, err)
	}

	declared, err := newCrew(&wanted)

	return &wanted, declared, err
}

func (f *fleet) path() string { return f.platform.data.join("run", "workloads.json") }

// apply takes what the controller wants, writes it down, and has it carried out.
func (f *fleet) apply(request *workloadv1.ApplyRequest) error {
	declared, err := newCrew(request)
	if err != nil {
		return err
	}

	f.mu.Lock()
	defer f.mu.Unlock()

	if proto.Equal(request, f.wanted) {
		return nil
	}

	data, err := protojson.MarshalOptions{Multiline: true}.Marshal(request)
	if err != nil {
		return fmt.Errorf("keep what shall run: %w", err)
	}

	if err := writeFile(f.path(), data); err != nil {
		return err
	}

	if err := writeCatalogue(f.platform.data.join("run", "catalogue.json"), f.catalogueOf(declared)); err != nil {
		return err // and nothing counts as applied, so that it is applied again
	}

	servers := slices.EqualFunc(declared.servers, f.declared.servers, sameServer)
	f.wanted, f.declared = request, declared

	if !servers {
		f.restartTools()
	}

	f.wake()

	return nil
}

// restartTools has all replicas start with other tool servers: at once, since an agent that needs a new one can't know
// which of them has it. Calls wait meanwhile.
func (f *fleet) restartTools() {
	for replica := range f.platform.config.replicasOf("tools") {
		f.platform.supervisor.Restart(replicaName(rpc.Tools, replica))
	}
}

// wake has [fleet.run] look again.
func (f *fleet) wake() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

func (f *fleet) catalogue() catalogue {
	f.mu.Lock()
	defer f.mu.Unlock()

	return f.catalogueOf(f.declared)
}

func (f *fleet) catalogueOf(declared crew) catalogue {
	made := declared.catalogue()
	for i := range made.Servers {
		made.Servers[i].Spec.Env = f.platform.demoEnv(made.Servers[i].Spec)
	}

	return made
}

// workloads are the agents' processes of now.
func (f *fleet) workloads() map[string]*plannedWorkload {
	f.mu.Lock()
	defer f.mu.Unlock()

	return maps.Clone(f.running)
}

const (
	// fleetRetry is the time until what could not be started is tried again.
	fleetRetry = time.Second
	// fleetEarly is that time while the supervisor does not run yet.
	fleetEarly = 20 * time.Millisecond
)

// run starts and stops processes until the context ends.
func (f *fleet) run(ctx context.Context) error {
	var stopping sync.WaitGroup
	defer stopping.Wait()

	f.wake()

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.changed:
		}

		switch err := f.reconcile(&stopping); {
		case errors.Is(err, supervise.ErrNotRunning):
			time.AfterFunc(fleetEarly, f.wake)
		case err != nil:
			f.platform.warn("an agent's process can't be started; trying again", err)
			time.AfterFunc(fleetRetry, f.wake)
		}
	}
}

// reconcile starts what is missing and stops what is not wanted any more.
func (f *fleet) reconcile(stopping *sync.WaitGroup) error {
	if !f.platform.supervisor.Running() {
		return supervise.ErrNotRunning
	}

	f.mu.Lock()
	declared, running, leaving := f.declared, maps.Clone(f.running), maps.Clone(f.leaving)
	f.mu.Unlock()

	wanted, retrievers := declared.members(f.platform.config.Replicas), declared.retrievers(f.platform.config.Replicas)

	for name := range running {
		_, stays := wanted[name]
		if _, serves := retrievers[name]; !stays && !serves && !leaving[name] {
			f.mark(name, true)
			stopping.Go(func() { f.remove(name) })
		}
	}

	var problems []error

	failed := map[string]string{}

	for _, name := range slices.Sorted(maps.Keys(retrievers)) { // the first replica comes first
		if running[name] == nil {
			problems = append(problems, f.startRetriever(name, retrievers[name]))
		}
	}

	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if running[name] != nil {
			continue
		}

		if err := f.start(name, wanted[name], declared); err != nil {
			problems = append(problems, err)
			failed[name] = err.Error()
		}
	}

	f.tell(failed)

	return errors.Join(problems...)
}

// tell lets whoever watches know what could not be started.
func (f *fleet) tell(failed map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if !maps.Equal(f.failed, failed) {
		f.failed = failed
		close(f.told)
		f.told = make(chan struct{})
	}
}

func (f *fleet) mark(name string, leaves bool) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.leaving[name] = leaves
}

// remove stops a process and forgets it. Its certificate serves other revisions too.
func (f *fleet) remove(name string) {
	f.platform.supervisor.Remove(name)

	for _, path := range []string{f.platform.configPath(name), f.platform.bootstrapPath(name)} {
		if err := os.Remove(path); err != nil {
			f.platform.warn("what a process was told stays behind", err)
		}
	}

	f.mu.Lock()
	delete(f.running, name)
	delete(f.leaving, name)
	f.mu.Unlock()

	if err := f.platform.writeUpFile(); err != nil {
		f.platform.warn("write up.json", err)
	}

	f.wake() // it may have been wanted again meanwhile
}

// start plans a revision's process and hands it to the supervisor.
func (f *fleet) start(name string, member member, declared crew) error {
	p := f.platform

	if err := p.issue(member.agent); err != nil {
		return err
	}

	file, err := p.storeRevision(member.agent, member.revision, member.resolved)
	if err != nil {
		return err
	}

	retriever, err := f.retrieverOf(member.spec)
	if err != nil {
		return err
	}

	settings := &agentSettings{File: file, Revision: member.revision, Retriever: retriever}
	for _, handoff := range member.spec.Spec.Handoffs {
		settings.Peers = append(settings.Peers, declared.entry(handoff.Agent))
	}

	process := processName(member.agent, agentspec.Short(member.revision))

	planned, err := p.planned(process, member.replica, nil, stageAgents,
		workloadConfig{Room: "agent", Name: member.agent, Agent: settings}, "grpc", "http")
	if err != nil {
		return err
	}

	planned.revision = agentspec.Short(member.revision)

	return f.launch(name, planned)
}

// storeRevision keeps the resolved agent under its digest; the agent's process loads it from there.
func (p *Platform) storeRevision(agent, revision, resolved string) (string, error) {
	if err := os.MkdirAll(p.data.join("revisions", agent), 0o700); err != nil {
		return "", fmt.Errorf("store revision: %w", err)
	}

	path := p.data.join("revisions", agent, agentspec.Short(revision)+".json")

	return path, writeFile(path, []byte(resolved))
}
