package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/canary"
)

// decided is a decision that was made, and is not carried out yet.
type decided struct {
	wanted  *change
	before  Record
	after   Record
	entries []HistoryEntry
	// kept is called once it is kept and carried out.
	kept func()
}

// advance decides by what is observed.
func (a *agent) advance(ctx context.Context) {
	a.keepLate(ctx)

	if !a.mesh.look().known || a.isGone() {
		return
	}

	a.decide(ctx, &change{actor: platform})

	if found := a.withdrawnElsewhere(); found != nil {
		a.decide(ctx, found) // a refusal says that it is too late
	}

	a.bury(ctx)
}

// handle decides what someone wants: after what is observed, unless it is urgent.
func (a *agent) handle(ctx context.Context, wanted *change) {
	if !wanted.urgent() {
		a.advance(ctx)
	}

	a.consider(ctx, wanted)
}

// consider decides a change part by part, each once nothing is under way that it has to wait for.
func (a *agent) consider(ctx context.Context, wanted *change) {
	if a.saving != nil && !wanted.urgent() {
		a.hold(wanted)

		return
	}

	if first := wanted.firstPart(a.current().State); first != nil {
		a.decide(ctx, first)
		a.consider(ctx, wanted)

		return
	}

	a.decide(ctx, wanted)
}

// firstPart returns what has to be decided ahead of a change; nil if nothing has.
func (c *change) firstPart(state canary.State) *change {
	if c.command == nil {
		return nil
	}

	parts := state.Parts(*c.command)
	if len(parts) == 1 {
		return nil
	}

	return &change{command: &parts[0], actor: c.actor}
}

// decide makes one decision. One that gives traffic back is carried out at once and kept meanwhile; any other is kept
// before it is carried out, one at a time.
func (a *agent) decide(ctx context.Context, wanted *change) {
	made, err := a.step(wanted)

	switch {
	case err != nil && wanted.urgent() && a.saving != nil && a.saving.decided != nil:
		a.hold(wanted) // it may be about what is being kept
	case err != nil:
		wanted.answered(err)
	case made == nil:
		a.carryOut(ctx)
		wanted.answered(nil)
	case givesBack(made.before.State, made.after.State):
		a.takeAtOnce(ctx, made)
	case a.saving != nil:
		a.note(made.after.State)
		a.hold(wanted)
	default:
		a.save(ctx, made)
	}
}

// note remembers since when the candidate is not ready: the disk must not stop that clock either.
func (a *agent) note(state canary.State) {
	a.mu.Lock()
	defer a.mu.Unlock()

	if a.record.State.Candidate == state.Candidate {
		a.record.State.UnreadySince = state.UnreadySince
	}
}

// step makes a decision; nil if it changes nothing. Errors: what the engine refuses, and a revision that can't be read.
func (a *agent) step(wanted *change) (*decided, error) {
	before := a.current()
	if a.saving != nil && a.saving.decided != nil { // what is being kept has a number; no two decisions share one
		before.State.Seq = max(before.State.Seq, a.saving.decided.after.State.Seq)
	}

	after := before
	if wanted.edit != nil {
		wanted.edit(&after)
	}

	state, events, err := canary.Step(after.State, a.observe(after.State), a.command(wanted))
	if err != nil {
		return nil, refusal(err)
	}

	after.State, after.Slots = state, a.seats(state, before.Slots)
	if state.Attempt != before.State.Attempt {
		after.Position = a.shared.outcomes.here()
	}

	entries := a.entries(wanted.actor, events)
	if wanted.action != "" {
		entries = slices.Insert(entries, 0, a.entry(wanted.actor, wanted.action, wanted.reason, before, before))
	}

	if len(entries) == 0 && same(before, after) {
		return nil, nil //nolint:nilnil // there is nothing to do
	}

	if wanted.content != nil {
		if _, err := a.remember(*wanted.content); err != nil {
			return nil, fault.From(err)
		}
	}

	return &decided{wanted: wanted, before: before, after: after, entries: entries, kept: func() {}}, nil
}

// command is what someone wants of the engine. Whether objects are adopted is for the declaration to say: what is started by
// hand follows it.
func (a *agent) command(wanted *change) *canary.Command {
	if wanted.command == nil || wanted.command.Kind != canary.Start {
		return wanted.command
	}

	started := *wanted.command
	started.Plan.Slots = a.adopts()

	return &started
}

// takeAtOnce carries a decision out that gives traffic back, and keeps it meanwhile. Whoever wanted it is answered once
// that has ended, be it in vain.
func (a *agent) takeAtOnce(ctx context.Context, made *decided) {
	a.overrule()
	a.take(made.after)
	a.carryOut(ctx)
	a.tell(ctx, made.entries)

	a.unkept = true
	a.taken++
	a.pending = append(a.pending, made.entries...)
	a.waiting = append(a.waiting, made.wanted)
	a.keepLate(ctx)
}

// givesBack reports whether a decision takes traffic from a revision because of what the revision is.
func givesBack(before, after canary.State) bool {
	return slices.ContainsFunc(after.Withdrawals, func(one canary.Withdrawal) bool {
		return one.Cause != canary.CauseRetired && one.Revision != one.Replacement && !slices.Contains(before.Withdrawals, one)
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

	if len(before.State.Withdrawals) > 0 && len(after.State.Withdrawals) == 0 {
		a.withdrawnAt = a.config.now()
	}

	if before.State.Attempt != after.State.Attempt {
		a.shared.outcomes.begin(&after)
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
