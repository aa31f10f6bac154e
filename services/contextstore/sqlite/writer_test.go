package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/services/contextstore"
)

var errRefused = errors.New("refused")

// held is a store whose connection the test holds, so that transactions queue up.
type held struct {
	*Store

	t     *testing.T
	free  func()
	group sync.WaitGroup
}

func hold(t *testing.T) *held {
	t.Helper()

	store, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "context.db")})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})

	return &held{Store: store, t: t, free: store.writer.queue.Hold()}
}

// queue runs n functions that each ask for a transaction, and returns once all of them wait.
func (h *held) queue(n int, run func(i int)) {
	h.t.Helper()

	for i := range n {
		h.group.Go(func() { run(i) })
	}

	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()

	for deadline := time.Now().Add(10 * time.Second); h.writer.queue.Waiting() < n; <-tick.C {
		if time.Now().After(deadline) {
			h.t.Fatal("the transactions do not queue up")
		}
	}
}

// release lets the transactions run and waits for them.
func (h *held) release() {
	h.free()
	h.group.Wait()
}

// put writes one value.
func put(tx contextstore.Tx, i int) error {
	return tx.PutState("tenant/writer", strconv.Itoa(i), nil, 1)
}

// written counts the values that were committed.
func (h *held) written(n int) (count int) {
	h.t.Helper()

	for i := range n {
		if err := h.View(h.t.Context(), contextstore.About{}, func(reader contextstore.Reader) error {
			_, version, err := reader.State("tenant/writer", strconv.Itoa(i))
			count += int(version)

			return err
		}); err != nil {
			h.t.Fatal(err)
		}
	}

	return count
}

// TestGroupCommit: what waits shares one commit, runs once, and fails alone.
func TestGroupCommit(t *testing.T) {
	const n = 50

	var runs atomic.Int64

	store := hold(t)
	store.queue(n, func(i int) {
		err := store.Update(t.Context(), contextstore.About{}, func(tx contextstore.Tx) error {
			runs.Add(1)

			if err := put(tx, i); err != nil || i%5 != 0 {
				return err
			}

			return errRefused
		})
		if errors.Is(err, errRefused) != (i%5 == 0) || i%5 != 0 && err != nil {
			t.Errorf("transaction %d: %v", i, err)
		}
	})
	store.release()

	if got := runs.Load(); got != n {
		t.Errorf("%d transactions ran %d times", n, got)
	}

	if got := store.written(n); got != n*4/5 {
		t.Errorf("%d values were written, want %d", got, n*4/5)
	}
}

// TestGroupCommitSurvivesABrokenStatement: an error of the database spoils the shared transaction, so all run again.
func TestGroupCommitSurvivesABrokenStatement(t *testing.T) {
	const n = 20

	store := hold(t)
	store.queue(n, func(i int) {
		err := store.Update(t.Context(), contextstore.About{}, func(tx contextstore.Tx) error {
			if i == 7 {
				return tx.PutPin("no such conversation", "agent", "revision")
			}

			return put(tx, i)
		})
		if (err != nil) != (i == 7) {
			t.Errorf("transaction %d: %v", i, err)
		}
	})
	store.release()

	if got := store.written(n); got != n-1 {
		t.Errorf("%d values were written, want %d", got, n-1)
	}
}

// TestNothingFollowsABrokenStatement: SQLite rolls a transaction back by itself when the disk is full, and what a function
// writes after that must not be committed on its own.
func TestNothingFollowsABrokenStatement(t *testing.T) {
	store := hold(t)
	if err := store.writer.conn.Exec("PRAGMA max_page_count = 100"); err != nil {
		t.Fatal(err)
	}

	store.release()

	err := store.Update(t.Context(), contextstore.About{}, func(tx contextstore.Tx) error {
		return errors.Join(tx.PutState("tenant/writer", "large", make([]byte, 1<<20), 1), put(tx, 0))
	})
	if !fault.Is(err, "DISK_FULL") {
		t.Errorf("got %v, want DISK_FULL", err)
	}

	if got := store.written(1); got != 0 {
		t.Error("a part of the transaction was committed")
	}
}

// TestNoTemporaryFiles: SQLite's own are kept in memory, since a container's root may be read-only and without /tmp.
func TestNoTemporaryFiles(t *testing.T) {
	store := hold(t)

	var kept int
	if found, err := store.writer.conn.One("PRAGMA temp_store", nil, &kept); !found || err != nil || kept != 2 {
		t.Errorf("temp_store is %d, want 2 (MEMORY): %v", kept, err)
	}

	store.release()
}

// TestWaitingTransactionCanBeGivenUp: who leaves the queue has written nothing.
func TestWaitingTransactionCanBeGivenUp(t *testing.T) {
	const n = 10

	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, n)

	store := hold(t)
	store.queue(n, func(i int) {
		left <- store.Update(ctx, contextstore.About{}, func(tx contextstore.Tx) error { return put(tx, i) })
	})

	cancel()

	for range n {
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
	}

	store.release()

	if err := store.Update(t.Context(), contextstore.About{}, func(tx contextstore.Tx) error { return put(tx, n) }); err != nil {
		t.Fatal(err)
	}

	if got := store.written(n + 1); got != 1 {
		t.Errorf("%d values were written, want the one after", got)
	}
}
