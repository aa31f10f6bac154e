package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

// declareTimeout bounds how long one agent's declaration waits to be decided; it is tried again.
const declareTimeout = 10 * time.Second

// folder follows the files that declare the agents.
type folder struct {
	config *Config
	agents *agents
	source *source

	mu       sync.Mutex
	looked   bool
	problems agentspec.Problems
	// places are the files that the agents were declared in when all was valid.
	places map[string]string

	declared []declared

	// telling are the agents that are being told, so that one that can't decide now keeps nobody waiting but itself.
	telling  map[string]bool
	inFlight sync.WaitGroup
}

// run looks at the folder from time to time.
func (f *folder) run(ctx context.Context) {
	defer f.inFlight.Wait()

	for {
		f.look(ctx)

		if !sleep(ctx, f.config.FolderInterval) {
			return
		}
	}
}

// look reads the files if they changed, and has agents be as they say. An edit that is not valid changes nothing.
func (f *folder) look(ctx context.Context) {
	if set, err := f.source.read(ctx); err != nil {
		f.report(problemsOf(err))
	} else if set != nil {
		f.take(ctx, set)
	}

	f.declare(ctx)
}

func (f *folder) take(ctx context.Context, set *agentspec.Set) {
	all, err := declaredBy(set)
	if err == nil {
		err = f.takeServers(ctx, set)
	}

	if err != nil {
		f.source.forget()
		f.report(problemsOf(err))

		return
	}

	places := make(map[string]string, len(all))
	for _, one := range all {
		places[one.content.Agent] = one.place
	}

	f.mu.Lock()
	f.places = places
	f.mu.Unlock()

	f.declared = all
	f.report(nil)
}

// takeServers has the tool servers be as declared.
func (f *folder) takeServers(ctx context.Context, set *agentspec.Set) error {
	servers, err := serversOf(set)
	if err != nil {
		return err
	}

	fleet := f.agents.shared.fleet
	if slices.Equal(fleet.servers(), servers) {
		return nil
	}

	if err := f.config.Store.SaveServers(ctx, servers); err != nil {
		return fault.From(err)
	}

	fleet.setServers(servers)

	return nil
}

// declare tells every agent what its declaration says, all at once and waiting for none: one that can't decide now is told
// again once it has been told what it was told before.
func (f *folder) declare(ctx context.Context) {
	if f.declared == nil {
		return
	}

	names := map[string]bool{}

	for _, one := range f.declared {
		names[one.content.Agent] = true
		agent := f.agents.add(one.content.Agent)

		if wanted := one.change(agent.current()); wanted != nil {
			f.tell(ctx, agent, wanted)
		} else {
			agent.trouble("declare", "")
		}
	}

	for _, agent := range f.agents.all() {
		if wanted := removal(agent.current(), f.config.now()); wanted != nil && !names[agent.name] {
			f.tell(ctx, agent, wanted)
		}
	}
}

// tell tells an agent something, unless it is being told.
func (f *folder) tell(ctx context.Context, agent *agent, wanted *change) {
	if !f.begin(agent.name) {
		return
	}

	f.inFlight.Go(func() {
		defer f.end(agent.name)

		tell(ctx, agent, wanted)
	})
}

func (f *folder) begin(agent string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.telling[agent] {
		return false
	}

	f.telling[agent] = true

	return true
}

func (f *folder) end(agent string) {
	f.mu.Lock()
	defer f.mu.Unlock()

	delete(f.telling, agent)
}

func tell(ctx context.Context, agent *agent, wanted *change) {
	ctx, cancel := context.WithTimeout(ctx, declareTimeout)
	defer cancel()

	agent.trouble("declare", problem("the declaration", agent.do(ctx, wanted)))
}

func (f *folder) report(problems agentspec.Problems) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.looked, f.problems = true, problems
}

// lines are what is wrong with the files, one line each.
func (f *folder) lines() (lines []string, looked bool) {
	f.mu.Lock()
	defer f.mu.Unlock()

	for _, problem := range f.problems {
		lines = append(lines, strings.ReplaceAll(problem.String(), "\n", " "))
	}

	return lines, f.looked
}

// about is what is wrong with the file that an agent is declared in.
func (f *folder) about(agent string) (lines []string) {
	f.mu.Lock()
	defer f.mu.Unlock()

	for _, problem := range f.problems {
		if place := f.places[agent]; place != "" && place == problem.File {
			lines = append(lines, strings.ReplaceAll(problem.String(), "\n", " "))
		}
	}

	return lines
}

func problemsOf(err error) agentspec.Problems {
	if problems, ok := errors.AsType[agentspec.Problems](err); ok {
		return problems
	}

	return agentspec.Problems{{Message: err.Error()}}
}
