package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"reflect"
	"slices"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/canary"
)

// advance decides by what is observed.
func (a *agent) advance(ctx context.Context) {
	a.keepLate(ctx)

	if !a.mesh.look().known {
		return
	}

	if err := a.decide(ctx, &change{actor: platform}); err != nil {
		return // it is among the troubles, and decided again
	}

	if found := a.withdrawnElsewhere(); found != nil {
		_ = a.decide(ctx, found) // a refusal says that it is too late
	}

	a.bury(ctx)
}

// decide makes one decision, keeps it and has it carried out. Errors: what the engine refuses; UNAVAILABLE if it could
// not be kept.
func (a *agent) decide(ctx context.Context, wanted *change) error {
	before := a.current()
	after := before

	if wanted.edit != nil {
		wanted.edit(&after)
	}

	state, events, err := canary.Step(after.State, a.observe(after.State), wanted.command)
	if err != nil {
		return refusal(err)
	}

	after.State = state
	if state.Attempt != before.State.Attempt {
		after.Position = a.shared.outcomes.here()
	}

	if len(events) == 0 && same(before, after) {
		a.carryOut(ctx)

		return nil
	}

	if wanted.content != nil {
		if _, err := a.remember(*wanted.content); err != nil {
			return fault.From(err)
		}
	}

	return a.commit(ctx, after, wanted.content, a.entries(before.State, state, wanted.actor, events))
}

// commit keeps a decision, and then has it carried out; one that gives traffic back is carried out at once, and kept
// meanwhile.
func (a *agent) commit(ctx context.Context, after Record, content *Revision, entries []HistoryEntry) error {
	before := a.current()

	if givesBack(before.State, after.State) {
		a.take(after)
		a.carryOut(ctx)
		a.unkept, a.pending = true, append(a.pending, entries...)
		a.tell(ctx, entries)
		a.keepLate(ctx)

		return nil
	}

	if err := a.keep(ctx, after, content, entries); err != nil {
		a.trouble("keep", problem("the decision can't be kept", err))

		return err
	}

	a.take(after)
	a.tell(ctx, entries)
	a.carryOut(ctx)

	return nil
}

// givesBack reports whether a decision takes traffic from a revision because of what the revision is.
func givesBack(before, after canary.State) bool {
	return slices.ContainsFunc(after.Withdrawals, func(one canary.Withdrawal) bool {
		return one.Cause != "retired" && one.Revision != one.Replacement && !slices.Contains(before.Withdrawals, one)
	})
}

// take makes the record the agent's own.
func (a *agent) take(after Record) {
	a.mu.Lock()
	before := a.record
	a.record = after

	if before.Declaration != after.Declaration {
		a.read()
	}

	a.prune()
	a.mu.Unlock()

	if before.State.Attempt != after.State.Attempt {
		a.shared.outcomes.begin(&after)
	}
}

// keepLate keeps what is being carried out already.
func (a *agent) keepLate(ctx context.Context) {
	if !a.unkept {
		return
	}

	record := a.current()

	err := a.keep(ctx, record, a.remembered(record.State.Candidate), nil)
	a.trouble("unkept", problem("the decision is carried out but can't be kept", err))
}

// keep writes a record, with the entries of it and of those before that are not kept yet.
func (a *agent) keep(ctx context.Context, record Record, content *Revision, entries []HistoryEntry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()

	if content != nil {
		if err := a.config.Store.PutRevision(ctx, *content); err != nil {
			return fault.From(err)
		}
	}

	if err := a.config.Store.Save(ctx, record, append(slices.Clone(a.pending), entries...)...); err != nil {
		return fault.From(err)
	}

	a.unkept, a.pending = false, nil
	a.trouble("keep", "")
	a.trouble("unkept", "")

	return nil
}

// carryOut tells everyone who works for the agent what the world shall look like. It waits for none of them.
func (a *agent) carryOut(ctx context.Context) {
	record := a.current()
	wanted := canary.Want(record.State)

	if a.leaves(record) {
		return
	}

	if len(wanted.Live) > 0 {
		a.order(&order{agent: a.config.target(a.name, a.adopts()), routing: routingOf(wanted, a.excluded())})
	}

	a.support(ctx, record, wanted)
}

// leaves reports whether the last of the agent is being taken away.
func (a *agent) leaves(record Record) bool {
	return record.Gone || a.ordered != nil && a.ordered.delete && !record.RemovedAt.IsZero()
}

// resume goes on with what was decided before, as far as the mesh need not be looked at first.
func (a *agent) resume(ctx context.Context) {
	record := a.current()
	a.support(ctx, record, canary.Want(record.State))
}

// support tells those who work for the agent beside the mesh.
func (a *agent) support(ctx context.Context, record Record, wanted canary.Wanted) {
	if !slices.Equal(a.withdrawing, wanted.Withdrawals) {
		a.withdrawing = slices.Clone(wanted.Withdrawals)
		a.withdrawer.set(a.withdrawing)
	}

	if len(wanted.Workloads) > 0 || record.Declaration != "" {
		a.shared.fleet.set(a.name, a.member(ctx, wanted.Workloads))
	}

	a.ask(record.State.InProgress() || len(record.State.Leaving) > 0 || !record.RemovedAt.IsZero())
}

// order tells the mesh, if it is news.
func (a *agent) order(wanted *order) {
	if a.ordered == nil || !reflect.DeepEqual(a.ordered, wanted) {
		a.ordered = wanted
		a.mesh.worker.set(wanted)
	}
}

func (a *agent) ask(often bool) {
	if a.asking != often {
		a.asking = often
		a.usage.worker.set(often)
	}
}

// entries are what the audit log says of events.
func (a *agent) entries(before, after canary.State, actor string, events []canary.Event) []HistoryEntry {
	entries := make([]HistoryEntry, len(events))
	for i, event := range events {
		entries[i] = HistoryEntry{
			Time: a.config.now(), Actor: actor, Action: event.Action, Reason: event.Reason, Attempt: after.Attempt,
			Before: snapshot(before), After: snapshot(after),
		}
	}

	return entries
}

func (a *agent) tell(ctx context.Context, entries []HistoryEntry) {
	for _, entry := range entries {
		a.config.Telemetry.Logger.InfoContext(ctx, "rollout",
			slog.String("agent", a.name), slog.String("action", entry.Action), slog.String("actor", entry.Actor),
			slog.String("reason", entry.Reason), slog.Int64("attempt", entry.Attempt),
			slog.String("phase", string(entry.After.Phase)), slog.String("stable", entry.After.Stable),
			slog.String("candidate", entry.After.Candidate), slog.Int("weight", entry.After.Weight))
	}
}

// same reports whether two records are kept as the same.
func same(one, other Record) bool {
	first, err := json.Marshal(one)
	if err != nil {
		return false
	}

	second, err := json.Marshal(other)

	return err == nil && bytes.Equal(first, second)
}
