package controller

import (
	"context"
	"maps"

	"github.com/serinhq/serin/mesh/canary"
)

// bury takes an agent away that is not declared any more, once nothing has run on it for long enough: first what
// routes, then what runs, then the record of it.
func (a *agent) bury(ctx context.Context) {
	record := a.current()

	if record.Gone || a.saving != nil || !a.forgotten(record) {
		return
	}

	a.order(&order{agent: a.config.target(a.name, false), delete: true})

	if !a.mesh.look().deleted { // routes go before what they lead to
		return
	}

	a.shared.fleet.drop(a.name)

	left := buried(record)

	a.save(ctx, &decided{
		wanted: &change{actor: platform}, before: record, after: left,
		entries: []HistoryEntry{a.entry(platform, "bury", "nothing has run on it for "+a.config.DeleteAfter.String()+
			", so nothing is left of it", record, left)},
		kept: func() {
			a.shared.outcomes.drop(a.name)
			a.shared.gone(left)
		},
	})
}

// buried is what stays, should the agent come back: the counters, since the store knows withdrawals by attempt and the
// mesh decisions by sequence, and what the store was told.
func buried(record Record) Record {
	empty := initial(record.Agent)
	empty.Gone = true
	empty.State.Attempt, empty.State.Seq = record.State.Attempt, record.State.Seq
	empty.State.Withdrawn = record.State.Withdrawn

	for _, revision := range canary.Want(record.State).Workloads {
		if _, withdrawn := record.State.Withdrawn[revision]; !withdrawn {
			empty.Orphans = append(empty.Orphans, revision)
		}
	}

	return empty
}

// comeBack has conversations of an agent that was gone go on with the revision that it comes back as.
func comeBack(record *Record, revision string) {
	state := &record.State
	state.Attempt++

	told := make(map[string]int64, len(state.Withdrawn)+len(record.Orphans))
	maps.Copy(told, state.Withdrawn)

	if _, withdrawn := told[revision]; withdrawn {
		state.Withdrawals = append(state.Withdrawals, canary.Withdrawal{
			Revision: revision, Replacement: revision, Attempt: state.Attempt, Cause: canary.CauseUndone,
		})

		delete(told, revision)
	}

	for _, orphan := range record.Orphans {
		if orphan != revision {
			state.Withdrawals = append(state.Withdrawals, canary.Withdrawal{
				Revision: orphan, Replacement: revision, Attempt: state.Attempt, Cause: canary.CauseRetired,
			})
			told[orphan] = state.Attempt
		}
	}

	state.Withdrawn = told
	record.Orphans = nil
}

// forgotten reports whether nothing has happened for long enough.
func (a *agent) forgotten(record Record) bool {
	now, use := a.config.now(), a.usage.look()

	fresh := use.asked.After(record.RemovedAt) && now.Sub(use.asked) <= freshUse*a.config.UseInterval

	if record.RemovedAt.IsZero() || now.Sub(record.RemovedAt) < a.config.DeleteAfter || !fresh {
		return false
	}

	for _, revision := range use.revisions {
		active := revision.GetLastActiveAt()
		idle := active == nil || use.asked.Sub(active.AsTime()) >= a.config.DeleteAfter // of what came since nothing is known

		if revision.GetRunningTurns() > 0 || !idle {
			return false
		}
	}

	return true
}
