package conformance_test

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/serinhq/serin/loadtest"
	"github.com/serinhq/serin/mesh/e2e/conformance/orders"
)

// split is a route with weights.
func split(a, b int) string {
	return fmt.Sprintf("{name: split, route: [{destination: {host: %[1]s, subset: a}, weight: %[2]d}, "+
		"{destination: {host: %[1]s, subset: b}, weight: %[3]d}], retries: {attempts: 0}}", host, a, b)
}

// canary are the routes as Serin writes them: pins, anchors which no client asks for, and the split.
func canary(a, b int) string {
	return routed(
		to("a", "name: pin-a", match("{headers: {serin-revision: {exact: a}}}")),
		to("b", "name: pin-b", match("{headers: {serin-revision: {exact: b}}}")),
		to("a", "name: anchor-a", match("{headers: {serin-anchor: {exact: a}}}")),
		to("b", "name: anchor-b", match("{headers: {serin-anchor: {exact: b}}}")),
		split(a, b),
	)
}

func splits() []conformance {
	return []conformance{
		{
			area: "splits", name: "weights 90/10 over 2,000 calls", objects: canary(90, 10),
			check: func(w *world) error { return w.shared(2000, 10, "OK from b") },
		},
		{area: "splits", name: "weights 100/0", objects: canary(100, 0), check: func(w *world) error { return w.lands(nil, "a") }},
		{area: "splits", name: "a pin wins over the split", objects: canary(90, 10), check: func(w *world) error {
			return cmp.Or(w.lands(headers{"serin-revision": "a"}, "a"), w.lands(headers{"serin-revision": "b"}, "b"))
		}},
		{area: "splits", name: "a pin to a revision without a weight", objects: canary(100, 0), check: func(w *world) error {
			return cmp.Or(w.lands(headers{"serin-revision": "b"}, "b"), w.lands(nil, "a"))
		}},
		{
			area: "splits", name: "a pin that was pointed elsewhere", objects: routed(
				to("a", "name: pin-b", match("{headers: {serin-revision: {exact: b}}}")), split(100, 0)),
			check: func(w *world) error { return w.lands(headers{"serin-revision": "b"}, "a") },
		},
		{
			area: "splits", name: "an unknown revision falls to the split", objects: canary(0, 100),
			check: func(w *world) error { return w.lands(headers{"serin-revision": "zzz"}, "b") },
		},
		{area: "splits", name: "no error in 20 full flips, thanks to anchors", objects: canary(100, 0), check: flips},
	}
}

// shared wants that so many percent of calls come to one thing, as far as chance allows.
func (w *world) shared(calls int, percent float64, key string) error {
	low, high := loadtest.BinomialInterval(calls, percent/100, loadtest.Confidence)
	ordered := orders.Calls{Count: calls, Parallel: 8}

	// The first calls may meet the routes of before.
	if err := w.eventually(func() error {
		answers, err := w.calls("caller", orders.Calls{Count: 60, Parallel: 8})
		if err == nil && got(answers)[key] == 0 {
			err = fmt.Errorf("none came to %s: %s", key, described(answers))
		}

		return err
	}); err != nil {
		return err
	}

	answers, err := w.calls("caller", ordered)
	if err != nil {
		return err
	}

	if came := got(answers)[key]; came < low || came > high {
		return fmt.Errorf("%d of %d came to %s; chance allows %d to %d: %s", came, calls, key, low, high, described(answers))
	}

	return nil
}

// flips moves everything to and fro while the caller calls all the time; another client sees when it has arrived.
func flips(w *world) error {
	if err := w.lands(nil, "a"); err != nil {
		return err
	}

	done := make(chan struct{})

	var (
		calling sync.WaitGroup
		failed  error
		called  int
	)

	calling.Go(func() {
		for {
			answers, err := w.calls("caller", orders.Calls{Count: 50, Parallel: 4})
			called += len(answers)

			if sums := got(answers); err == nil && sums["OK from a"]+sums["OK from b"] != len(answers) {
				err = errors.New(described(answers))
			}

			failed = errors.Join(failed, err)

			select {
			case <-done:
				return
			default:
			}
		}
	})

	err := w.flip(20)

	close(done)
	calling.Wait()

	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("in %d calls: %s", called, strings.ReplaceAll(err.Error(), "\n", "; "))
	}

	return nil
}

func (w *world) flip(times int) error {
	for i := range times {
		a, want := 0, "OK from b"
		if i%2 == 1 {
			a, want = 100, "OK from a"
		}

		if err := cmp.Or(put(w.ctx, w, canary(a, 100-a)), w.all("stranger", orders.Calls{}, want)); err != nil {
			return fmt.Errorf("flip %d: %w", i+1, err)
		}
	}

	return nil
}
