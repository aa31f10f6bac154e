package controller

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/serinhq/serin/internal/fault"
)

// saveTimeout bounds one write to the store; a decision that was made is kept even if its caller has gone.
const saveTimeout = 5 * time.Second

// saving is a write to the store that is under way. The agent's goroutine starts one at a time, and goes on meanwhile: an
// abort does not wait for the disk.
type saving struct {
	// decided is what is carried out once it is kept. It is nil if the record is the agent's own already: then it is kept
	// late, and those who wait for it are answered however that ends.
	decided *decided
	waiting []*change
	// late is how many of the pending entries it has, and taken how many decisions the record has that were taken unkept.
	late, taken int
	// overruled says that the agent gave traffic back in the meantime: the decision is made again.
	overruled bool

	cancel context.CancelFunc
	done   chan error
}

// save writes a decision, to be carried out once it is kept. What was carried out unkept is kept with it.
func (a *agent) save(ctx context.Context, made *decided) {
	contents := []Revision{}
	if made.wanted.content != nil {
		contents = append(contents, *made.wanted.content)
	}

	a.write(ctx, &saving{decided: made}, made.after, contents, made.entries)
}

// keepLate keeps what is being carried out already.
func (a *agent) keepLate(ctx context.Context) {
	if !a.unkept || a.saving != nil {
		return
	}

	one := &saving{waiting: a.waiting}
	a.waiting = nil
	a.write(ctx, one, a.current(), nil, nil)
}

// write begins to write. The revisions that the record names come first; if something is unkept, so may they be.
func (a *agent) write(ctx context.Context, one *saving, record Record, contents []Revision, entries []HistoryEntry) {
	if a.unkept {
		contents = append(contents, a.atHand()...)
	}

	one.late, one.taken = len(a.pending), a.taken
	all := slices.Concat(a.pending, entries)

	ctx, one.cancel = context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	one.done = make(chan error, 1)
	a.saving = one

	go func() { one.done <- a.put(ctx, record, contents, all) }()
}

// put writes to the store.
func (a *agent) put(ctx context.Context, record Record, contents []Revision, entries []HistoryEntry) error {
	for _, content := range contents {
		if err := a.config.Store.PutRevision(ctx, content); err != nil {
			return fault.From(err)
		}
	}

	if err := a.config.Store.Save(ctx, record, entries...); err != nil {
		return fault.From(err)
	}

	return nil
}

// written tells how the write ended that is under way.
func (a *agent) written() <-chan error {
	if a.saving == nil {
		return nil
	}

	return a.saving.done
}

// saved goes on after a write. What has waited for it is decided now.
func (a *agent) saved(ctx context.Context, err error) {
	one := a.wrote(err)

	switch {
	case one.decided == nil:
		a.trouble("unkept", problem("the decision is carried out but can't be kept", err))

		for _, wanted := range one.waiting {
			wanted.answered(nil)
		}
	case one.overruled:
		a.hold(one.decided.wanted)
	case err != nil:
		a.trouble("keep", problem("the decision can't be kept", err))
		one.decided.wanted.answered(err)
	default:
		after := one.decided.after
		if now := a.current().State; now.Candidate == after.State.Candidate {
			after.State.UnreadySince = now.UnreadySince // as noted meanwhile
		}

		a.take(after)
		a.tell(ctx, one.decided.entries)
		a.carryOut(ctx)
		one.decided.kept()
		one.decided.wanted.answered(nil)
	}

	a.decideHeld(ctx)

	if err == nil || one.overruled { // else it is tried again after a while
		a.advance(ctx)
	}
}

// wrote notes what is kept now.
func (a *agent) wrote(err error) *saving {
	one := a.saving
	a.saving = nil

	one.cancel()

	if err != nil {
		return one
	}

	a.pending = slices.Clone(a.pending[one.late:])
	a.unkept = a.taken != one.taken

	a.trouble("keep", "")
	a.trouble("unkept", "")

	return one
}

// overrule has a write that is under way carry nothing out: what it would keep was decided on what is no more.
func (a *agent) overrule() {
	if a.saving != nil && a.saving.decided != nil {
		a.saving.overruled = true
		a.saving.cancel()
	}
}

// hold has a change decided once the write that is under way has ended. What the agent wants by itself it finds again.
func (a *agent) hold(wanted *change) {
	if wanted.answer != nil {
		a.held = append(a.held, wanted)
	}
}

// decideHeld decides what was held, as far as nothing is in the way again.
func (a *agent) decideHeld(ctx context.Context) {
	held := a.held
	a.held = nil

	for _, wanted := range held {
		if a.isGone() {
			wanted.answered(goingAway())
		} else {
			a.consider(ctx, wanted)
		}
	}
}

// leave keeps what is carried out and not kept when the agent's goroutine ends.
func (a *agent) leave(ctx context.Context) {
	if a.saving != nil {
		a.wrote(<-a.saving.done)
	}

	if a.keepLate(ctx); a.saving != nil {
		a.wrote(<-a.saving.done)
	}
}

// atHand returns the revisions that are remembered.
func (a *agent) atHand() []Revision {
	a.mu.Lock()
	defer a.mu.Unlock()

	all := make([]Revision, 0, len(a.contents))
	for _, short := range slices.Sorted(maps.Keys(a.contents)) {
		all = append(all, a.contents[short].revision)
	}

	return all
}
