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

// follower has the agents be as a source declares them.
type follower struct {
	config *Config
	agents *agents
	source Source

	mu       sync.Mutex
	looked   bool
	problems agentspec.Problems
	// places are where the agents were declared when all was valid.
	places map[string]string

	declared []declared
	// invalid are those agents whose declarations are not valid now: they stay as they are.
	invalid map[string]agentspec.Problems

	// telling are the agents that are being told, so that one that can't decide now keeps nobody waiting but itself.
	telling  map[string]bool
	inFlight sync.WaitGroup
}

// run looks at the source from time to time.
func (f *follower) run(ctx context.Context) {
	defer f.inFlight.Wait()

	for {
		f.look(ctx)

		if !sleep(ctx, f.config.FolderInterval) {
			return
		}
	}
}

// look reads what is declared if that changed, and has agents be so. What is not valid changes nothing.
func (f *follower) look(ctx context.Context) {
	if read, err := f.source.Read(ctx); err != nil {
		f.report(problemsOf(err))
	} else if read != nil {
		f.take(ctx, read)
	}

	f.declare(ctx)
}

func (f *follower) take(ctx context.Context, read *Declarations) {
	all, err := declaredBy(read)
	if err == nil {
		err = f.takeServers(ctx, read)
	}

	if err != nil {
		f.source.Forget()
		f.report(problemsOf(err))

		return
	}

	places := make(map[string]string, len(all))
	for _, one := range all {
		places[one.content.Agent] = one.place
	}

	f.mu.Lock()
	f.places, f.invalid = places, read.Invalid
	f.mu.Unlock()

	f.declared = all
	f.report(read.problems())
}

// takeServers has the tool servers be as declared.
func (f *follower) takeServers(ctx context.Context, read *Declarations) error {
	servers, err := serversOf(read.Servers)
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
func (f *follower) declare(ctx context.Context) {
	if f.declared == nil {
		return
	}

	names := f.kept()

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

// kept are the agents that stay as they are, whatever is declared.
func (f *follower) kept() map[string]bool {
	f.mu.Lock()
	defer f.mu.Unlock()

	names := map[string]bool{}
	for name := range f.invalid {
		names[name] = true
	}

	return names
}

// tell tells an agent something, unless it is being told.
func (f *follower) tell(ctx context.Context, agent *agent, wanted *change) {
	if !f.begin(agent.name) {
		return
	}

	f.inFlight.Go(func() {
		defer f.end(agent.name)

		tell(ctx, agent, wanted)
	})
}

func (f *follower) begin(agent string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.telling[agent] {
		return false
	}

	f.telling[agent] = true

	return true
}

func (f *follower) end(agent string) {
	f.mu.Lock()
	defer f.mu.Unlock()

	delete(f.telling, agent)
}

func tell(ctx context.Context, agent *agent, wanted *change) {
	ctx, cancel := context.WithTimeout(ctx, declareTimeout)
	defer cancel()

	agent.trouble("declare", problem("the declaration", agent.do(ctx, wanted)))
}

func (f *follower) report(problems agentspec.Problems) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.looked, f.problems = true, problems
}

// lines are what is wrong with the declarations, one line each.
func (f *follower) lines() (lines []string, looked bool) {
	f.mu.Lock()
	defer f.mu.Unlock()

	for _, problem := range f.problems {
		lines = append(lines, oneLine(problem))
	}

	return lines, f.looked
}

func oneLine(problem agentspec.Problem) string {
	return strings.ReplaceAll(problem.String(), "\n", " ")
}

// about is what is wrong with an agent's declaration, or with the file that it is in.
func (f *follower) about(agent string) (lines []string) {
	f.mu.Lock()
	defer f.mu.Unlock()

	for _, problem := range f.invalid[agent] {
		lines = append(lines, oneLine(problem))
	}

	for _, problem := range f.problems {
		if place := f.places[agent]; place != "" && place == problem.File && len(f.invalid) == 0 {
			lines = append(lines, oneLine(problem))
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
