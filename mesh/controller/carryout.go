package controller

import (
	"context"
	"reflect"
	"slices"

	"github.com/serinhq/serin/mesh/canary"
)

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

// resume goes on with what was decided before, as far as the mesh need not be looked at first. It has every revision at hand
// that the record names, so that what is decided later need not read.
func (a *agent) resume(ctx context.Context) {
	record := a.current()

	for _, short := range record.Names() {
		_, _ = a.runnable(ctx, short) // of those that shall run, support says what is wrong
	}

	a.support(ctx, record, canary.Want(record.State))
}

// support tells those who work for the agent beside the mesh.
func (a *agent) support(ctx context.Context, record Record, wanted canary.Wanted) {
	if !slices.Equal(a.withdrawing, wanted.Withdrawals) {
		a.withdrawing = slices.Clone(wanted.Withdrawals)
		a.withdrawer.set(a.withdrawing)
	}

	if len(wanted.Workloads) > 0 || record.Declaration != "" {
		a.shared.fleet.set(a.name, a.member(ctx, wanted))
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
