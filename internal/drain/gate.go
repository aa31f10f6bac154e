// Package drain ends work in order: a [Gate] counts what is under way and stops letting more in, [Run] is the one group
// that a process's tasks live in.
package drain

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

// retryAfterDrain is what a refused caller is told: another replica, or this one after its restart, takes it soon.
const retryAfterDrain = 500 * time.Millisecond

// Gate lets work in until it is closed, and knows how much of it is under way. The zero value is open.
type Gate struct {
	mu     sync.Mutex
	active int
	closed bool
	idle   chan struct{} // made by the first waiter, closed when active becomes 0
}

// Enter begins a piece of work; leave, which may be called more than once, ends it. Once the gate is closed it returns
// an UNAVAILABLE fault with the reason DRAINING.
func (g *Gate) Enter() (leave func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()

	if g.closed {
		return nil, fault.New(codes.Unavailable, "DRAINING", "this process is shutting down; try again").After(retryAfterDrain)
	}

	g.active++

	return sync.OnceFunc(g.leave), nil
}

func (g *Gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()

	g.active--
	if g.active == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// Close stops letting work in. It does not wait; see [Gate.Wait].
func (g *Gate) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()

	g.closed = true
}

// Active is the number of pieces of work under way.
func (g *Gate) Active() int {
	g.mu.Lock()
	defer g.mu.Unlock()

	return g.active
}

// Wait returns when nothing is under way, or with an error that wraps the context's when that ends first.
func (g *Gate) Wait(ctx context.Context) error {
	idle := g.whenIdle()
	if idle == nil {
		return nil
	}

	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d still under way: %w", g.Active(), context.Cause(ctx))
	}
}

// whenIdle returns nil if the gate is idle now.
func (g *Gate) whenIdle() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()

	if g.active == 0 {
		return nil
	}

	if g.idle == nil {
		g.idle = make(chan struct{})
	}

	return g.idle
}
