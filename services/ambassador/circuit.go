package ambassador

// A circuit is a provider and a model. It opens when tries keep failing by the provider's own trouble, one after the
// other: the provider rests, with nothing asked of it, and requests go on to others at once. Then one request at a time
// probes; the first that succeeds closes the circuit. It is a rest like any other, so that a Retry-After and an open
// circuit can't contradict each other.

// circuit is the entry that a key and a model share with the provider's other keys.
func (t cooled) circuit() cooled { return cooled{t.provider, "", t.model} }

// fail counts trouble of the provider itself, and opens the circuit after the given number in a row. A probe that fails
// opens it at once. Negative means never.
func (p *permit) fail(after int) {
	circuit := p.target.circuit()

	p.settle(func() {
		c := p.cooldowns
		c.failures[circuit]++

		open := c.entries[circuit]
		if after < 0 || c.failures[circuit] < after && (open == nil || !open.broken) {
			return
		}

		c.extend(circuit, scopeProvider, 0)
		c.entries[circuit].broken = true
	})
}

// broken reports whether a provider rests for its failures rather than because it asked for it.
func (c *cooldowns) broken(provider, model string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	open := c.entries[cooled{provider, "", model}]

	return open != nil && open.broken
}

// resting is why a provider is not asked.
func (c *call) resting(next target) *failure {
	if c.service.cooldowns.broken(next.provider.Name, next.model) {
		return &failure{class: classBroken, message: "the provider keeps failing and is left alone for now"}
	}

	return &failure{class: classCooling, message: "the provider asked to be left alone for now"}
}
