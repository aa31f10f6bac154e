package app

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"google.golang.org/grpc/codes"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

// crew is what the controller wants to run, with its declarations read.
type crew struct {
	agents  []crewAgent
	servers []agentspec.MCPServer
}

// crewAgent is one agent of a crew.
type crewAgent struct {
	name string
	// declared is nil once the agent is not declared any more.
	declared  *agentspec.Agent
	revisions []member
}

// member is one process that shall run: a replica of a revision.
type member struct {
	agent, revision, resolved string
	spec                      agentspec.Agent
	replica                   int // from 0
}

// newCrew reads the declarations of a request. Errors: INVALID_ARGUMENT, which names the agent.
func newCrew(request *workloadv1.ApplyRequest) (crew, error) {
	read := crew{}

	for _, wanted := range request.GetAgents() {
		agent, err := newCrewAgent(wanted)
		if err != nil {
			return crew{}, fault.New(codes.InvalidArgument, "INVALID_DECLARATION", "agent %q: %w", wanted.GetName(), err)
		}

		read.agents = append(read.agents, agent)
	}

	for _, declaration := range request.GetToolServers() {
		var server agentspec.MCPServer
		if err := json.Unmarshal([]byte(declaration), &server); err != nil {
			return crew{}, fault.New(codes.InvalidArgument, "INVALID_DECLARATION", "a tool server: %w", err)
		}

		read.servers = append(read.servers, server)
	}

	return read, nil
}

func newCrewAgent(wanted *workloadv1.Agent) (crewAgent, error) {
	read := crewAgent{name: wanted.GetName()}

	if wanted.GetDeclaration() != "" {
		declared, err := agentspec.UnmarshalResolved([]byte(wanted.GetDeclaration()))
		if err != nil {
			return read, fmt.Errorf("its declaration: %w", err)
		}

		read.declared = &declared
	}

	for _, revision := range wanted.GetRevisions() {
		spec, err := agentspec.UnmarshalResolved([]byte(revision.GetDeclaration()))
		if err != nil {
			return read, fmt.Errorf("revision %s: %w", revision.GetRevision(), err)
		}

		if spec.Metadata.Name != read.name {
			return read, fmt.Errorf("revision %s: it is of agent %q", revision.GetRevision(), spec.Metadata.Name)
		}

		if found := agentspec.Revision(spec); found != revision.GetRevision() {
			return read, fmt.Errorf("revision %s: its content is revision %s", revision.GetRevision(), found)
		}

		read.revisions = append(read.revisions, member{
			agent: read.name, revision: revision.GetRevision(), resolved: revision.GetDeclaration(), spec: spec,
		})
	}

	return read, nil
}

// members are the processes that shall run, by name: so many of each revision.
func (c crew) members(replicas int) map[string]member {
	all := map[string]member{}

	for _, agent := range c.agents {
		for _, revision := range agent.revisions {
			for revision.replica = range replicas {
				all[replicaName(processName(agent.name, agentspec.Short(revision.revision)), revision.replica)] = revision
			}
		}
	}

	return all
}

// processName is how a revision's process is called, as its Deployment would be.
func processName(agent, short string) string { return agent + "-" + short }

// entry describes an agent to those that hand over to it.
func (c crew) entry(name string) agentEntry {
	for _, agent := range c.agents {
		if agent.name == name && agent.declared != nil {
			return newAgentEntry(*agent.declared)
		}
	}

	return agentEntry{Name: name}
}

// catalogue is what the other processes know of a crew.
func (c crew) catalogue() catalogue {
	made := catalogue{Grants: map[string][]agentspec.Tool{}, Servers: slices.Clone(c.servers)}

	for _, agent := range c.agents {
		if agent.declared != nil {
			made.Agents = append(made.Agents, newAgentEntry(*agent.declared))
		} else {
			made.Leaving = append(made.Leaving, agent.name)
		}

		made.Grants[agent.name] = agent.grants()
	}

	return made
}

// grants are the tools that the agent may use: what any of its live revisions lists.
func (a crewAgent) grants() []agentspec.Tool {
	var granted []agentspec.Tool

	for _, revision := range a.revisions {
		for _, tool := range revision.spec.Spec.Tools {
			granted = grant(granted, tool)
		}
	}

	return granted
}

// grant adds a tool; where revisions differ about a human's approval, one is asked.
func grant(granted []agentspec.Tool, tool agentspec.Tool) []agentspec.Tool {
	for i := range granted {
		if granted[i].Name == tool.Name {
			if tool.Approval == "always" {
				granted[i].Approval = tool.Approval
			}

			return granted
		}
	}

	return append(granted, tool)
}

func sameServer(a, b agentspec.MCPServer) bool { return reflect.DeepEqual(a, b) }
