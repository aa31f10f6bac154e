package ambassador

import (
	"testing"
	"time"
)

// TestRetriesAreAShareOfTheRequests under an outage, and a service that is seldom asked may try again all the same.
func TestRetriesAreAShareOfTheRequests(t *testing.T) {
	for _, test := range []struct {
		every time.Duration
		want  int // of a hundred requests
	}{
		{0, 20}, {100 * time.Millisecond, 20}, {time.Second, 20}, {2 * time.Second, 100},
	} {
		now := time.Now()
		budget := newBudget(0.2)
		budget.now, budget.asked = func() time.Time { return now }, now

		for budget.withdraw() { // what is saved up is gone
			continue
		}

		tried := 0

		for range 100 {
			now = now.Add(test.every)
			budget.deposit()

			if budget.withdraw() {
				tried++
			}
		}

		if tried != test.want && tried != test.want-1 { // a fifth is no sum of bits
			t.Errorf("a request each %s: %d retries, want %d", test.every, tried, test.want)
		}
	}
}
