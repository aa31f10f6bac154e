package controller

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/mesh/canary"
)

const (
	withdrawTimeout = 5 * time.Second
	withdrawAgain   = 200 * time.Millisecond
)

// withdrawer has the context store carry out an agent's withdrawals.
type withdrawer struct {
	config  *Config
	agent   string
	worker  *worker[[]canary.Withdrawal]
	changed func()

	mu        sync.Mutex
	confirmed map[canary.Withdrawal]bool
	problem   string
}

func newWithdrawer(config *Config, agent string, changed func()) *withdrawer {
	w := &withdrawer{config: config, agent: agent, changed: changed, confirmed: map[canary.Withdrawal]bool{}}
	w.worker = newWorker(w.work)

	return w
}

// set says which withdrawals are wanted. Those that are not any more need no confirmation either.
func (w *withdrawer) set(wanted []canary.Withdrawal) {
	w.mu.Lock()
	maps.DeleteFunc(w.confirmed, func(one canary.Withdrawal, _ bool) bool { return !slices.Contains(wanted, one) })
	w.mu.Unlock()

	w.worker.set(wanted)
}

// look returns what the store has confirmed of what is wanted, and what is in the way.
func (w *withdrawer) look() (confirmed []canary.Withdrawal, problem string) {
	w.mu.Lock()
	defer w.mu.Unlock()

	return slices.Collect(maps.Keys(w.confirmed)), w.problem
}

// work carries out what is not confirmed yet, in order: one that fails holds back later ones of the
// revisions that it names only: what names a revision last decides whether it is in service.
func (w *withdrawer) work(ctx context.Context, wanted []canary.Withdrawal) time.Duration {
	failed, trouble := map[string]bool{}, ""

	for _, one := range wanted {
		if failed[one.Revision] || w.has(one) {
			continue
		}

		if err := w.withdraw(ctx, one); err != nil {
			failed[one.Revision], failed[one.Replacement] = true, true
			trouble = problem("withdraw "+one.Revision, err)

			continue
		}

		w.confirm(one)
	}

	if ctx.Err() != nil {
		return 0
	}

	w.mu.Lock()
	told := w.problem == trouble
	w.problem = trouble
	w.mu.Unlock()

	if !told {
		w.changed()
	}

	if trouble != "" {
		return withdrawAgain
	}

	return 0
}

func (w *withdrawer) has(one canary.Withdrawal) bool {
	w.mu.Lock()
	defer w.mu.Unlock()

	return w.confirmed[one]
}

func (w *withdrawer) confirm(one canary.Withdrawal) {
	w.mu.Lock()
	w.confirmed[one] = true
	w.mu.Unlock()
	w.changed()
}

func (w *withdrawer) withdraw(ctx context.Context, one canary.Withdrawal) error {
	ctx, cancel := context.WithTimeout(ctx, withdrawTimeout)
	defer cancel()

	_, err := w.config.Context.Withdraw(ctx, &contextv1.WithdrawRequest{
		Agent: w.agent, Revision: one.Revision, Replacement: one.Replacement, Attempt: one.Attempt,
		Fence: one.Fence, Cause: one.Cause,
	})

	return err
}
