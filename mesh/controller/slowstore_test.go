package controller_test

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/controller"
)

// slowStore is a store whose disk may be full, or hang.
type slowStore struct {
	controller.Store

	fail atomic.Bool
	// hanging counts the writes that hang.
	hanging atomic.Int32

	mu    sync.Mutex
	hangs chan struct{}
}

// hang has writes hang until their time is over, or until it is called with false.
func (s *slowStore) hang(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.hangs != nil {
		close(s.hangs)
		s.hangs = nil
	}

	if on {
		s.hangs = make(chan struct{})
	}
}

func (s *slowStore) Save(ctx context.Context, record controller.Record, entries ...controller.HistoryEntry) error {
	if s.fail.Load() {
		return fault.New(8, "DISK_FULL", "the disk is full")
	}

	s.mu.Lock()
	hangs := s.hangs
	s.mu.Unlock()

	if hangs != nil {
		s.hanging.Add(1)
		defer s.hanging.Add(-1)

		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-hangs:
		}
	}

	return s.Store.Save(ctx, record, entries...)
}

// slow has the controller of the next start keep its decisions on a slow disk.
func (w *world) slow() *slowStore {
	stored := &slowStore{}
	w.configure = func(config *controller.Config) {
		stored.Store, config.Store = config.Store, stored
		config.CarriedOut = 50 * time.Millisecond
	}
	w.Cleanup(func() { stored.hang(false) })

	return stored
}
