package agentspec

// Resolve returns the agent with its defaults and with everything that it takes from other agents written out: the
// description of an agent that it hands off to, where it does not say itself when to. The prompt is inline already.
func (s *Set) Resolve(agent Agent) Agent {
	agent = agent.clone()

	for i := range agent.Spec.Handoffs {
		handoff := &agent.Spec.Handoffs[i]
		if other, ok := s.Agent(handoff.Agent); ok && handoff.When == "" {
			handoff.When = other.Spec.Description
		}
	}

	Default(&agent)

	return agent
}
