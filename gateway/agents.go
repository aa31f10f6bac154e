package gateway

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

type agents []Agent

// roster is the agents that there are now.
type roster struct{ current atomic.Pointer[agents] }

func (r *roster) pick(name string) (string, error) { return r.current.Load().pick(name) }

func (r *roster) heir(owner string) (Agent, error) { return r.current.Load().heir(owner) }

// SetAgents replaces [Config.Agents] from the next request on. Errors: two entries.
func (s *Service) SetAgents(list []Agent) error {
	if err := checkAgents(list); err != nil {
		return err
	}

	now := agents(list)
	s.agents.current.Store(&now)

	return nil
}

// find returns the agent with the name; one that is not known here, or leaves, gets the defaults.
func (a agents) find(name string) (Agent, bool) {
	i := slices.IndexFunc(a, func(agent Agent) bool { return agent.Name == name && !agent.Leaving })
	if i < 0 {
		return Agent{Name: name}, false
	}

	return a[i], true
}

// leaves reports whether the agent is not declared any more and runs still.
func (a agents) leaves(name string) bool {
	return slices.ContainsFunc(a, func(agent Agent) bool { return agent.Name == name && agent.Leaving })
}

// pick returns the agent that a new conversation meets: the named one, or the entry.
func (a agents) pick(name string) (string, error) {
	if name == "" {
		return a.entry()
	}

	if _, known := a.find(name); !known {
		return "", fault.Invalid(fault.Violation{
			Field: "agent", Message: fmt.Sprintf("there is no agent %q; there are: %s", name, a.names()),
		})
	}

	return name, nil
}

func (a agents) entry() (string, error) {
	for _, agent := range a {
		if agent.Entry {
			return agent.Name, nil
		}
	}

	return "", fault.Invalid(fault.Violation{
		Field: "agent", Message: "must be named, because no agent is marked as entry; there are: " + a.names(),
	})
}

// heir returns the agent that goes on with a conversation: the one that has it, or the entry if that one is not declared
// any more. Errors: FAILED_PRECONDITION (AGENT_REMOVED).
func (a agents) heir(owner string) (Agent, error) {
	if agent, known := a.find(owner); known {
		return agent, nil
	}

	entry, err := a.entry()

	switch {
	case err != nil && a.leaves(owner): // who takes over may be on its way
		return Agent{Name: owner}, nil
	case err != nil:
		return Agent{}, fault.New(codes.FailedPrecondition, "AGENT_REMOVED",
			"agent %q, which had this conversation, is not there any more, and no other agent takes over; open a new conversation",
			owner).With("agent", owner)
	}

	agent, _ := a.find(entry)

	return agent, nil
}

func (a agents) names() string {
	names := []string{}

	for _, agent := range a {
		if !agent.Leaving {
			names = append(names, agent.Name)
		}
	}

	return cmp.Or(strings.Join(names, ", "), "none")
}

func (a Agent) deadline(now time.Time) time.Time {
	return now.Add(positive(a.Deadline, defaultDeadline))
}
