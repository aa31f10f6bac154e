package controller_test

import (
	"context"
	"sync/atomic"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/controller"
)

// slowStore is a store whose disk may be full.
type slowStore struct {
	controller.Store

	fail atomic.Bool
}

func (s *slowStore) Save(ctx context.Context, record controller.Record, entries ...controller.HistoryEntry) error {
	if s.fail.Load() {
		return fault.New(8, "DISK_FULL", "the disk is full")
	}

	return s.Store.Save(ctx, record, entries...)
}
