package kube

import (
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/istio"
)

const (
	// AgentLabel is on everything that belongs to an agent.
	AgentLabel = "serin.dev/agent"
	// LeaderLabel is on the pod of the controller that leads: the Service of the controller selects it.
	LeaderLabel = "serin.dev/leader"
	// ServesLabel is on the pods that serve all agents of the namespace: its value is ServesAgents.
	ServesLabel, ServesAgents = "serin.dev/serves", "agents"
	// Finalizer keeps an Agent until its conversations have ended.
	Finalizer = "serin.dev/drain"
	// CatalogueMap is the ConfigMap that tells the gateway, the tools and the agents which agents there are.
	CatalogueMap = "serin-agents"
	// CatalogueKey is the key in it.
	CatalogueKey = "catalogue.json"

	managedLabel = "app.kubernetes.io/managed-by"
	manager      = "serin"
	// kindLabel says what a ConfigMap holds.
	kindLabel    = "serin.dev/kind"
	kindRevision = "revision"
	// recordsMap keeps the records of agents that have no object, and what belongs to none.
	recordsMap = "serin-records"
	fieldOwner = "serin-controller"
)

// ObjectName is what a revision's Deployment and ConfigMap are called.
func ObjectName(agent, short string) string { return agent + "-" + short }

// accessName is what the policy is called that lets an agent use what serves all agents. No agent's name begins like it.
func accessName(agent string) string { return "serin-agent-" + agent }

// labelsOf are on everything that belongs to an agent.
func labelsOf(agent string) map[string]string {
	return map[string]string{"app": agent, AgentLabel: agent, managedLabel: manager}
}

// revisionLabels are on what belongs to one of its revisions.
func revisionLabels(agent, revision string) map[string]string {
	labels := labelsOf(agent)
	short := agentspec.Short(revision)
	labels["version"], labels[istio.RevisionLabel] = short, short
	labels["service.istio.io/canonical-name"], labels["service.istio.io/canonical-revision"] = agent, short

	return labels
}

// podsOf select a revision's pods, by labels that never change.
func podsOf(agent, revision string) map[string]string {
	return map[string]string{"app": agent, istio.RevisionLabel: agentspec.Short(revision)}
}
