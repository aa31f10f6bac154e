package canary

// Parts returns the commands that a command is made of, each to be decided and saved by itself. One that brings another
// candidate in the middle of a rollout first takes the one before back: that gives traffic back, so it waits for nothing.
// That the new one begins does: it is saved before it is carried out, as every start is.
func (s State) Parts(c Command) []Command {
	if !s.supersededBy(c) {
		return []Command{c}
	}

	return []Command{{Kind: Supersede, Revision: c.Revision}, c}
}

// supersededBy reports whether a command brings another candidate than the one that there is, and may.
func (s State) supersededBy(c Command) bool {
	_, rejected := s.Rejected[c.Revision]
	another := c.Revision != s.Candidate && c.Revision != s.Stable && !rejected
	brings := c.Kind == Start || c.Kind == Declare && c.Revision != s.Declared

	return s.InProgress() && another && brings && c.valid() == nil && !s.storeBehind()
}

// supersede takes the candidate back for another. That says nothing against it. If it is gone already, all the better.
func (d *decision) supersede(c Command) error {
	if d.state.InProgress() {
		reason := c.because("%s takes the place of %s", c.Revision, d.state.Candidate)
		d.tell("supersede", "%s", reason)
		d.giveBack(reason, false)
	}

	return nil
}

// storeBehind reports whether so many withdrawals wait for the store that no other candidate may begin. To take one back
// that is there would be one more.
func (s State) storeBehind() bool {
	pending := len(s.Withdrawals)
	if s.InProgress() {
		pending++
	}

	return pending >= mostPending
}
