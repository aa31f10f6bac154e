package rpc

import (
	"context"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/stats"
)

const (
	// retryRatio is how much of a retry each call pays for.
	retryRatio = 0.1
	// retryBurst is the most that can be saved up, and what a connection begins with: enough for the calls that are under
	// way when a server is killed. Of 800 calls or more, less than a fifth is sent again.
	retryBurst = 80
)

// budget limits what a connection sends again, after a server got it before, to a share of its calls. A server that fails
// for lack of capacity then sees little more load instead of a multiple of it. Calls that never left the process count
// as nothing: they wait for a server, and put no load on one. (failsafe-go's budget counts what is under way, not what
// was called, so that calls which fail at once earn no retries and slow ones earn too many.)
type budget struct {
	mu      sync.Mutex
	balance float64
}

func newBudget() *budget { return &budget{balance: retryBurst} }

// deposit is made by each call.
func (b *budget) deposit() { b.add(retryRatio) }

// overdraw pays for what has been sent again already, by the mesh's own retries. What is owed must be paid back before
// there is another.
func (b *budget) overdraw() { b.add(-1) }

func (b *budget) add(amount float64) {
	if b == nil {
		return
	}

	b.mu.Lock()
	defer b.mu.Unlock()

	b.balance = min(b.balance+amount, retryBurst)
}

// withdraw pays for one retry; false if it must not be.
func (b *budget) withdraw() bool {
	if b == nil {
		return true
	}

	b.mu.Lock()
	defer b.mu.Unlock()

	if b.balance < 1 {
		return false
	}

	b.balance--

	return true
}

// isEmpty reports whether a retry could not be paid for.
func (b *budget) isEmpty() bool {
	if b == nil {
		return false
	}

	b.mu.Lock()
	defer b.mu.Unlock()

	return b.balance < 1
}

// attempts are those of one call that may reach a server. Each is paid for, or free: the first, and those that the
// server asked for or has not looked at.
type attempts struct {
	budget *budget
	paid   atomic.Int32
}

func newAttempts(budget *budget) *attempts {
	budget.deposit()

	made := &attempts{budget: budget}
	made.paid.Store(1)

	return made
}

// allow lets one more attempt be made that is paid for.
func (a *attempts) allow() {
	if a != nil {
		a.paid.Add(1)
	}
}

func (a *attempts) left() {
	if a.paid.Add(-1) < 0 {
		a.paid.Store(0)
		a.budget.overdraw()
	}
}

type attemptsKey struct{}

// attemptCounter sees what leaves the process, which nobody else does where grpc-go tries again.
type attemptCounter struct{ noConnections }

var _ stats.Handler = attemptCounter{}

func (attemptCounter) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (attemptCounter) HandleRPC(ctx context.Context, event stats.RPCStats) {
	switch event := event.(type) {
	case *stats.Begin:
		if event.IsTransparentRetryAttempt {
			attemptsOf(ctx).allow()
		}
	case *stats.OutHeader:
		if call := attemptsOf(ctx); call != nil {
			call.left()
		}
	}
}

func attemptsOf(ctx context.Context) *attempts {
	call, _ := ctx.Value(attemptsKey{}).(*attempts)

	return call
}
