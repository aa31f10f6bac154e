package ambassador

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// watchdog cancels a try whose current phase takes too long. It holds one timer for all phases.
type watchdog struct {
	cancel context.CancelCauseFunc
	phase  atomic.Pointer[failure]
	timer  *time.Timer
}

// watch starts a watchdog with its first phase. The context ends when a phase's time is over, or with stop.
func watch(ctx context.Context, phase *failure, limit time.Duration) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	dog := &watchdog{cancel: cancel}
	dog.phase.Store(phase)
	dog.timer = time.AfterFunc(limit, func() { cancel(dog.phase.Load()) })

	return ctx, dog
}

// expect begins another phase.
func (w *watchdog) expect(phase *failure, limit time.Duration) {
	w.phase.Store(phase)
	w.timer.Reset(limit)
}

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// The phases, as the failures that they end in.
var (
	errLateHeaders = &failure{class: classTimeout, message: "the provider sent no headers in time"}
	errLateToken   = &failure{class: classTimeout, message: "the provider sent no content in time"}
	errLateChunk   = &failure{class: classTimeout, message: "the provider's stream stood still"}
	errLateAnswer  = &failure{class: classTimeout, message: "the request took longer than its total deadline"}
)

// causeOf tells why a context ended: a phase's failure, or the client that went away.
func causeOf(ctx context.Context) *failure {
	if cause, ok := errors.AsType[*failure](context.Cause(ctx)); ok {
		clone := *cause

		return &clone
	}

	return &failure{class: classCancelled, message: "the client went away"}
}
