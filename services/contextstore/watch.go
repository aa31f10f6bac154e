package contextstore

import "sync"

// watch wakes whoever waits for a change of a turn.
type watch struct {
	mu      sync.Mutex
	waiters map[string]map[chan struct{}]struct{}
}

func newWatch() *watch { return &watch{waiters: map[string]map[chan struct{}]struct{}{}} }

// turn returns a channel that receives when the turn changed; stop gives it back.
func (w *watch) turn(turnID string) (changed <-chan struct{}, stop func()) {
	wake := make(chan struct{}, 1)

	w.mu.Lock()
	defer w.mu.Unlock()

	if w.waiters[turnID] == nil {
		w.waiters[turnID] = map[chan struct{}]struct{}{}
	}

	w.waiters[turnID][wake] = struct{}{}

	return wake, func() { w.remove(turnID, wake) }
}

func (w *watch) remove(turnID string, wake chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()

	delete(w.waiters[turnID], wake)

	if len(w.waiters[turnID]) == 0 {
		delete(w.waiters, turnID)
	}
}

func (w *watch) wake(turnID string) {
	w.mu.Lock()
	defer w.mu.Unlock()

	for wake := range w.waiters[turnID] {
		notify(wake)
	}
}
