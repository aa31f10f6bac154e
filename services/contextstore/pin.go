package contextstore

// pinner says which revisions turns must have. It reads the withdrawals of an agent once, and only if they matter.
type pinner struct {
	reader      Reader
	withdrawals map[string][]Withdrawal
}

func newPinner(reader Reader) *pinner {
	return &pinner{reader: reader, withdrawals: map[string][]Withdrawal{}}
}

// revision returns the revision that the turn's owner must have: its pin after withdrawals, or else the one that is
// forced, unless that is withdrawn; empty if any will do.
func (p *pinner) revision(turn *Turn) (string, error) {
	pin, forced := turn.Pin, turn.Forced[turn.GetAgent()]

	switch {
	case pin.Questioned:
		withdrawals, err := p.of(turn.GetAgent())

		return resolve(withdrawals, pin.Revision).successor, err
	case pin.Revision != "" || forced == "":
		return pin.Revision, nil
	}

	withdrawals, err := p.of(turn.GetAgent())

	return inService(withdrawals, forced), err
}

// show writes into turns what callers of their owners need to know.
func (p *pinner) show(turns ...Turn) error {
	for i := range turns {
		pinned, err := p.revision(&turns[i])
		if err != nil {
			return err
		}

		turns[i].PinnedRevision = pinned
	}

	return nil
}

func (p *pinner) of(agent string) ([]Withdrawal, error) {
	if known, found := p.withdrawals[agent]; found {
		return known, nil
	}

	withdrawals, err := p.reader.Withdrawals(agent)
	if err == nil {
		p.withdrawals[agent] = withdrawals
	}

	return withdrawals, err
}

// inService returns the revision, or nothing if it is withdrawn.
func inService(withdrawals []Withdrawal, revision string) string {
	if resolve(withdrawals, revision).withdrawn {
		return ""
	}

	return revision
}
