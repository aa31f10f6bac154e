package agentspec

// clone returns a copy that shares nothing with the agent.
func (a *Agent) clone() Agent { return *a.DeepCopy() }
