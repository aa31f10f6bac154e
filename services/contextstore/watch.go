package contextstore

import "sync"

// watch wakes whoever waits for a change of something that has a key.
type watch struct {
	mu      sync.Mutex
	waiters map[string]map[chan struct{}]struct{}
}

func newWatch() *watch { return &watch{waiters: map[string]map[chan struct{}]struct{}{}} }

// on returns a channel that receives when what the key names changed; stop gives it back.
func (w *watch) on(key string) (changed <-chan struct{}, stop func()) {
	wake := make(chan struct{}, 1)

	w.mu.Lock()
	defer w.mu.Unlock()

	if w.waiters[key] == nil {
		w.waiters[key] = map[chan struct{}]struct{}{}
	}

	w.waiters[key][wake] = struct{}{}

	return wake, func() { w.remove(key, wake) }
}

func (w *watch) remove(key string, wake chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()

	delete(w.waiters[key], wake)

	if len(w.waiters[key]) == 0 {
		delete(w.waiters, key)
	}
}

// wakeAll wakes whoever waits for anything.
func (w *watch) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()

	for _, waiters := range w.waiters {
		for wake := range waiters {
			notify(wake)
		}
	}
}

func (w *watch) wake(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()

	for wake := range w.waiters[key] {
		notify(wake)
	}
}
