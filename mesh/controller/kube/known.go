package kube

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/api/v1alpha1"
)

// known is what agents may refer to.
type known struct {
	agents, servers []string
	// entry is the agent that new conversations meet.
	entry string
}

// entryOf returns the entry that was there first.
func entryOf(objects []v1alpha1.Agent) string {
	entries := slices.DeleteFunc(slices.Clone(objects), func(a v1alpha1.Agent) bool { return !a.Spec.Entry })
	if len(entries) == 0 {
		return ""
	}

	return slices.MinFunc(entries, func(a, b v1alpha1.Agent) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	}).Name
}

// problems are what is wrong with an agent beside the others.
func (k *known) problems(agent *agentspec.Agent) agentspec.Problems {
	problems := agentspec.Strangers(agent, k.agents, k.servers)

	if agent.Spec.Entry && k.entry != agent.Metadata.Name {
		problems = append(problems, agentspec.Problem{
			Field: "spec.entry", Message: fmt.Sprintf("exactly one agent may have entry: true, and %s has it already", k.entry),
		})
	}

	return problems
}
