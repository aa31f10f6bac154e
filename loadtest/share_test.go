package loadtest

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBinomialInterval(t *testing.T) {
	for _, test := range []struct {
		n         int
		p, c      float64
		low, high int
	}{
		{0, .5, .9, 0, 0},
		{10, 0, .9, 0, 0},
		{10, 1, .9, 10, 10},
		{10, .5, .9, 2, 8}, // P(X<=1) = 11/1024, P(X<=2) = 56/1024
		{1, .5, .9, 0, 1},
		{4000, .1, Confidence, 319, 486}, // P(X<=318) = 4.7e-6, P(X<=319) = 6.1e-6
	} {
		if low, high := BinomialInterval(test.n, test.p, test.c); low != test.low || high != test.high {
			t.Errorf("%d draws at %v with %v: %d to %d, want %d to %d", test.n, test.p, test.c, low, high, test.low, test.high)
		}
	}
}

func TestBinomialIntervalHoldsAsMuchAsItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, p := rapid.IntRange(1, 300).Draw(t, "n"), rapid.Float64Range(.001, .999).Draw(t, "p")
		low, high := BinomialInterval(n, p, .99)
		below, above, all := 0.0, 0.0, 0.0

		for k := range n + 1 {
			share := binomial(n, k, p)
			all += share

			if k < low {
				below += share
			}

			if k > high {
				above += share
			}
		}

		if math.Abs(all-1) > 1e-9 || below > .005 || above > .005 || low > high || low < 0 || high > n {
			t.Fatalf("%d to %d: %v below, %v above, %v in all", low, high, below, above, all)
		}
	})
}

func TestShareAndAbort(t *testing.T) {
	begun := time.Unix(1000, 0)
	at := func(seconds int) time.Time { return begun.Add(time.Duration(seconds) * time.Second) }
	report := &Report{moments: moments{
		begun: begun, names: []name{{"a", "A"}, {"a", "B"}, {"b", "B"}},
		joins:  []moment{{1e9, 0}, {3e9, 1}, {2e9, 0}, {4e9, 1}, {4e9, 2}},
		starts: []moment{{9e9, 1}, {6e9, 1}, {7e9, 0}},
	}}

	if share := report.Share("a", "B", 50, at(2), at(4)); share.Conversations != 2 || share.Got != 1 || !share.Inside {
		t.Error(share)
	}

	if share := report.Share("a", "B", 0, time.Time{}, time.Time{}); share.Conversations != 4 || share.Got != 2 || share.Inside {
		t.Error(share)
	}

	if abort := report.Abort("a", "B", at(5), at(8)); abort.Late != 1 || abort.Last != time.Second {
		t.Error(abort)
	}

	if abort := report.Abort("a", "B", at(5), time.Time{}); abort.Late != 2 || abort.Last != 4*time.Second {
		t.Error(abort)
	}

	if abort := report.Abort("a", "B", at(10), time.Time{}); abort.Late != 0 || abort.Last != 0 {
		t.Error(abort)
	}

	if starts := report.Starts("a", "", at(7), time.Time{}); starts != 2 {
		t.Error(starts)
	}
}
