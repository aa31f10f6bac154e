package controller

import (
	"context"
	"sync"
	"time"
)

// worker carries out the newest value that it is given, as often as it takes. A newer value interrupts what is under way
// for an older one.
type worker[T any] struct {
	// do works once, and returns after what time to do so again; 0 means not before something happens.
	do func(ctx context.Context, value T) (again time.Duration)

	wake chan struct{}

	mu        sync.Mutex
	value     T
	interrupt context.CancelFunc
}

func newWorker[T any](do func(context.Context, T) time.Duration) *worker[T] {
	return &worker[T]{do: do, wake: make(chan struct{}, 1), interrupt: func() {}}
}

// set gives a new value.
func (w *worker[T]) set(value T) {
	w.mu.Lock()
	w.value = value
	w.interrupt()
	w.mu.Unlock()

	w.poke()
}

// poke says that something happened.
func (w *worker[T]) poke() { notify(w.wake) }

// run works until ctx ends.
func (w *worker[T]) run(ctx context.Context) {
	for ctx.Err() == nil {
		if !pause(ctx, w.wake, w.once(ctx)) {
			return
		}
	}
}

func (w *worker[T]) once(ctx context.Context) time.Duration {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	w.mu.Lock()
	value := w.value
	w.interrupt = cancel
	w.mu.Unlock()

	return w.do(ctx, value)
}

// pause waits for a token, the time (0 means for ever) or the end of ctx, and reports whether it was not the last.
func pause(ctx context.Context, wake <-chan struct{}, after time.Duration) bool {
	var elapsed <-chan time.Time

	if after > 0 {
		timer := time.NewTimer(after)
		defer timer.Stop()

		elapsed = timer.C
	}

	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-elapsed:
	}

	return true
}

// notify leaves a token for one waiter, unless there is one already.
func notify(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// sleep waits, and reports whether ctx goes on.
func sleep(ctx context.Context, wait time.Duration) bool { return pause(ctx, nil, wait) }
