package kube

import (
	"fmt"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/agentspec"
)

// wanted is all that shall run.
type wanted struct {
	agents map[string]wantedAgent
	order  []string
}

type wantedAgent struct {
	// declared is nil once the agent is not declared any more.
	declared  *agentspec.Agent
	revisions []wantedRevision
	// callers may hand off to it, and it to callees: by any revision that runs, of theirs and of its own.
	callers, callees []string
}

type wantedRevision struct {
	name  string
	agent agentspec.Agent
	// share is in percent of the agent's size.
	share int32
	// slot is the hand-written subset that its pods are in, if the agent is adopted.
	slot string
}

// readWanted reads the declarations of a request.
func readWanted(request *workloadv1.ApplyRequest) (*wanted, error) {
	all := &wanted{agents: map[string]wantedAgent{}}

	for _, agent := range request.GetAgents() {
		one, err := readAgent(agent)
		if err != nil {
			return nil, fmt.Errorf("agent %s: %w", agent.GetName(), err)
		}

		all.agents[agent.GetName()] = one
		all.order = append(all.order, agent.GetName())
	}

	all.connect()

	return all, nil
}

// connect says of all agents who may call whom, in an order that does not change their objects.
func (w *wanted) connect() {
	callers := map[string][]string{}

	for name, agent := range w.agents {
		for i := range agent.revisions {
			for _, handoff := range agent.revisions[i].agent.Spec.Handoffs {
				agent.callees = append(agent.callees, handoff.Agent)
				callers[handoff.Agent] = append(callers[handoff.Agent], name)
			}
		}

		agent.callees = distinct(agent.callees)
		w.agents[name] = agent
	}

	for name, agent := range w.agents {
		agent.callers = distinct(callers[name])
		w.agents[name] = agent
	}
}

func readAgent(agent *workloadv1.Agent) (wantedAgent, error) {
	one := wantedAgent{}

	if agent.GetDeclaration() != "" {
		declared, err := agentspec.UnmarshalResolved([]byte(agent.GetDeclaration()))
		if err != nil {
			return one, fmt.Errorf("its declaration: %w", err)
		}

		one.declared = &declared
	}

	for _, revision := range agent.GetRevisions() {
		content, err := agentspec.UnmarshalResolved([]byte(revision.GetDeclaration()))
		if err != nil {
			return one, fmt.Errorf("revision %s: %w", revision.GetRevision(), err)
		}

		one.revisions = append(one.revisions, wantedRevision{
			name: revision.GetRevision(), agent: content, share: revision.GetShare(), slot: revision.GetSlot(),
		})
	}

	return one, nil
}

// scaling is how many pods a revision has that takes all of the traffic.
func (a *wantedAgent) scaling(revision *wantedRevision) agentspec.Scaling {
	if a.declared != nil {
		return a.declared.Spec.Scaling
	}

	return revision.agent.Spec.Scaling
}

// replicas is how many pods a revision shall have without an autoscaler: a part of all, but at least one.
func (a *wantedAgent) replicas(revision *wantedRevision) int32 {
	all := a.scaling(revision).MinReplicas
	if revision.share == 0 {
		return all
	}

	return part(all, revision.share)
}

// merged is a revision as it is run: what is not part of it comes from the declaration as it stands.
func (a *wantedAgent) merged(revision *wantedRevision) agentspec.Agent {
	merged := revision.agent
	if a.declared != nil {
		merged.Spec.Pod, merged.Spec.Scaling = a.declared.Spec.Pod, a.declared.Spec.Scaling
	}

	return merged
}
