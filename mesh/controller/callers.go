package controller

// callersOf returns who may hand off to each agent of the first roster: the agents with a revision, in any of the
// rosters, that does.
func callersOf(rosters ...roster) map[string][]string {
	callers := map[string][]string{}
	for agent := range rosters[0].members {
		callers[agent] = []string{}
	}

	for _, one := range rosters {
		for caller, member := range one.members {
			for _, called := range member.handoffs() {
				if callers[called] != nil {
					callers[called] = append(callers[called], caller)
				}
			}
		}
	}

	for agent := range callers {
		callers[agent] = distinctOrNone(callers[agent])
	}

	return callers
}

func (m member) handoffs() []string {
	all := []string{}
	for _, revision := range m.revisions {
		all = append(all, revision.handoffs...)
	}

	return all
}

// distinctOrNone is distinct, but never nil.
func distinctOrNone(names []string) []string { return append([]string{}, distinct(names)...) }
