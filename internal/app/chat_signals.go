package app

import (
	"context"
	"os"
	"sync"
	"syscall"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// interruptible runs a watch: the first Ctrl-C asks for the turn to be cancelled, the second one leaves it alone.
func (t *talk) interruptible(run func(context.Context) (*eventv1.Event, error)) (last *eventv1.Event, err error) {
	asked := sync.WaitGroup{}
	defer asked.Wait()

	first := true

	t.listen(func(signal os.Signal) {
		if first && signal != syscall.SIGTERM {
			first = false

			asked.Go(t.requestCancel)
		} else {
			t.leave(errLeft)
		}
	}, func() { last, err = run(t.ctx) })

	return last, err
}

// unary runs something short, which a Ctrl-C ends at once.
func (t *talk) unary(run func() error) (err error) {
	t.listen(func(os.Signal) { t.leave(errLeft) }, func() { err = run() })

	return orContext(t.ctx, err)
}

// listen hears signals, one at a time, while something runs.
func (t *talk) listen(hear func(os.Signal), run func()) {
	done, listening := make(chan struct{}), sync.WaitGroup{}

	listening.Go(func() {
		for {
			select {
			case <-done:
				return
			case signal := <-t.signals:
				hear(signal)
			}
		}
	})

	run()
	close(done)
	listening.Wait()
}

func (t *talk) requestCancel() {
	t.tellf("\ncancelling; Ctrl-C again leaves the turn to itself")

	if err := t.client.cancel(t.ctx, t.conversation, "cancelled at the terminal"); err != nil {
		t.tellf("not cancelled: %s", err)
	}
}
