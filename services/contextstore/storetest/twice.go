package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/serinhq/serin/services/contextstore"
)

// RunTwice runs a part of the suite on a store that runs every transaction's function once more than it must, as one does
// whose database fails and comes back: what the functions gathered the first time must not be seen.
func RunTwice(t *testing.T, open Open) {
	t.Helper()

	run(t, func(tb testing.TB) contextstore.Store {
		tb.Helper()

		return twice{open(tb)}
	}, []suite{
		{"Conversations", conversationTests()},
		{"Turns", turnTests()},
		{"RevisionUse", revisionUseTests()},
		{"Memory", memoryTests()},
	})
}

// twice runs functions twice.
type twice struct{ contextstore.Store }

var errDropped = errors.New("dropped")

func (s twice) View(ctx context.Context, about contextstore.About, fn func(contextstore.Reader) error) error {
	return s.Store.View(ctx, about, func(reader contextstore.Reader) error {
		_ = fn(reader) // what counts is the second time

		return fn(reader)
	})
}

func (s twice) Update(ctx context.Context, about contextstore.About, fn func(contextstore.Tx) error) error {
	err := s.Store.Update(ctx, about, func(tx contextstore.Tx) error {
		_ = fn(tx) // as above

		return errDropped
	})
	if !errors.Is(err, errDropped) {
		return err
	}

	return s.Store.Update(ctx, about, fn)
}
