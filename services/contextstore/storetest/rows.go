package storetest

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/services/contextstore"
)

func rowTests() map[string]func(*world) {
	return map[string]func(*world){
		"FailedUpdateWritesNothing": failedUpdateWritesNothing,
		"OneFailsAlone":             oneFailsAlone,
		"PanicFailsAlone":           panicFailsAlone,
		"UpdatesAreSerialisable":    updatesAreSerialisable,
		"CancelledUpdateIsNotRun":   cancelledUpdateIsNotRun,
		"BrokenStatementFailsAlone": brokenStatementFailsAlone,
		"ViewIsASnapshot":           viewIsASnapshot,
	}
}

var errRefused = errors.New("refused")

// count reads a counter that is kept in shared state.
func count(reader contextstore.Reader, key string) (int64, error) {
	_, version, err := reader.State("tenant/rows", key)

	return version, err
}

func increment(tx contextstore.Tx, key string) error {
	version, err := count(tx, key)
	if err != nil {
		return err
	}

	return tx.PutState("tenant/rows", key, nil, version+1)
}

func (w *world) counted(key string) (version int64) {
	w.Helper()
	w.ok(w.store.View(w.Context(), contextstore.About{}, func(reader contextstore.Reader) (err error) {
		version, err = count(reader, key)

		return err
	}))

	return version
}

func failedUpdateWritesNothing(w *world) {
	err := w.store.Update(w.Context(), contextstore.About{}, func(tx contextstore.Tx) error {
		err := increment(tx, "k")
		_, reading := count(tx, "k") // what was written is in the database by then

		return errors.Join(err, reading, errRefused)
	})
	same(w, "the error comes back", errors.Is(err, errRefused), true)
	same(w, "count", w.counted("k"), 0)
}

// oneFailsAlone: transactions may share a commit, but not a fate.
func oneFailsAlone(w *world) {
	const writers = 64

	parallel(writers, func(i int) {
		err := w.store.Update(w.Context(), contextstore.About{}, func(tx contextstore.Tx) error {
			if err := increment(tx, strconv.Itoa(i)); err != nil || i%3 != 0 {
				return err
			}

			return errRefused
		})
		if errors.Is(err, errRefused) != (i%3 == 0) {
			w.Errorf("writer %d: %v", i, err)
		}
	})

	for i := range writers {
		want := int64(1)
		if i%3 == 0 {
			want = 0
		}

		same(w, "count of "+strconv.Itoa(i), w.counted(strconv.Itoa(i)), want)
	}
}

func panicFailsAlone(w *world) {
	parallel(16, func(i int) {
		err := w.store.Update(w.Context(), contextstore.About{}, func(tx contextstore.Tx) error {
			if i == 3 {
				panic("a bug")
			}

			return increment(tx, "k")
		})
		if (fault.CodeOf(err) == codes.Internal) != (i == 3) {
			w.Errorf("writer %d: %v", i, err)
		}
	})
	same(w, "count", w.counted("k"), 15)
}

// brokenStatementFailsAlone: a statement that the database refuses spoils a shared transaction; the others run again.
func brokenStatementFailsAlone(w *world) {
	parallel(16, func(i int) {
		err := w.store.Update(w.Context(), contextstore.About{}, func(tx contextstore.Tx) error {
			if i == 3 {
				_ = tx.PutPin("no such conversation", "a", "r") // a foreign key; even if the error is swallowed
			}

			return increment(tx, "k")
		})
		if (err != nil) != (i == 3) {
			w.Errorf("writer %d: %v", i, err)
		}
	})
	same(w, "count", w.counted("k"), 15)
}

func updatesAreSerialisable(w *world) {
	parallel(8, func(int) {
		for range 20 {
			if err := w.store.Update(w.Context(), contextstore.About{}, func(tx contextstore.Tx) error { return increment(tx, "k") }); err != nil {
				w.Error(err)
			}
		}
	})
	same(w, "count", w.counted("k"), 160)
}

func cancelledUpdateIsNotRun(w *world) {
	ctx, cancel := context.WithCancel(w.Context())
	cancel()

	var ran atomic.Bool

	err := w.store.Update(ctx, contextstore.About{}, func(contextstore.Tx) error {
		ran.Store(true)

		return nil
	})
	same(w, "the context's error comes back", errors.Is(err, context.Canceled), true)
	same(w, "ran", ran.Load(), false)
}

func viewIsASnapshot(w *world) {
	w.ok(w.store.View(w.Context(), contextstore.About{}, func(reader contextstore.Reader) error {
		before, err := count(reader, "k")
		w.ok(err)
		w.ok(w.store.Update(w.Context(), contextstore.About{}, func(tx contextstore.Tx) error { return increment(tx, "k") }))

		after, err := count(reader, "k")
		same(w, "count within the view", after, before)

		return err
	}))
	same(w, "count", w.counted("k"), 1)
}
