package controller

import (
	"bytes"
	"context"
	"encoding/json"
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

// same reports whether two records are kept as the same.
func same(one, other Record) bool {
	first, err := json.Marshal(one)
	if err != nil {
		return false
	}

	second, err := json.Marshal(other)

	return err == nil && bytes.Equal(first, second)
}
