package controller

import "sync"

// broadcast tells any number of waiters that something changed.
type broadcast struct {
	mu      sync.Mutex
	waiting chan struct{}
}

// next returns a channel that is closed with the next change.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()

	if b.waiting == nil {
		b.waiting = make(chan struct{})
	}

	return b.waiting
}

func (b *broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()

	if b.waiting != nil {
		close(b.waiting)
		b.waiting = nil
	}
}
