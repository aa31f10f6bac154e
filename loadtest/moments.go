package loadtest

import (
	"slices"
	"time"
)

// name is a revision of an agent.
type name struct{ agent, revision string }

// moment is when something happened to one of the revisions.
type moment struct {
	at    time.Duration // since the load began
	which int32
}

// ended is the end of a turn.
type ended struct {
	at, took time.Duration
	failed   bool
}

// moments are all the moments that questions are asked about afterwards, in no order: 16 bytes each.
type moments struct {
	begun  time.Time
	names  []name
	joins  []moment
	starts []moment
	opened []time.Duration
	turns  []ended
	known  map[name]int32
}

func (m *moments) which(of name) int32 {
	at, known := m.known[of]
	if !known {
		at = int32(len(m.names)) //nolint:gosec // there are not so many
		m.names = append(m.names, of)
		m.known[of] = at
	}

	return at
}

func (m *moments) at(when time.Time) time.Duration { return when.Sub(m.begun) }

func (m *moments) clone() moments {
	return moments{
		begun: m.begun, names: slices.Clone(m.names), joins: slices.Clone(m.joins), starts: slices.Clone(m.starts),
		opened: slices.Clone(m.opened), turns: slices.Clone(m.turns),
	}
}

func (m *moments) matching(agent, revision string) []bool {
	matching := make([]bool, len(m.names))
	for i, name := range m.names {
		matching[i] = name.agent == agent && (revision == "" || name.revision == revision)
	}

	return matching
}

func (m *moments) count(of []moment, agent, revision string, from, to time.Time) int {
	counted, matching := 0, m.matching(agent, revision)

	for _, moment := range of {
		at := m.begun.Add(moment.at)
		if matching[moment.which] && !at.Before(from) && (to.IsZero() || at.Before(to)) {
			counted++
		}
	}

	return counted
}

func (m *moments) last(agent, revision string, before time.Time) (time.Time, bool) {
	last, found := time.Time{}, false
	matching := m.matching(agent, revision)

	for _, moment := range m.starts {
		at := m.begun.Add(moment.at)
		if matching[moment.which] && (before.IsZero() || at.Before(before)) && at.After(last) {
			last, found = at, true
		}
	}

	return last, found
}
