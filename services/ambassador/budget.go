package ambassador

import (
	"sync"
	"time"
)

const (
	// budgetPerSecond are the retries that are always allowed, so that a quiet service may retry at all.
	budgetPerSecond = 1.0
	// budgetFull is the most that can be saved up.
	budgetFull = 20.0
)

// budget limits retries and fallbacks to a share of the requests: each request pays in, each retry takes out. Under a
// total outage the upstreams then see at most 1 + ratio times the load, not a multiple. (failsafe-go's budget counts
// concurrent executions of its own policies, and offers no permits to others.)
type budget struct {
	ratio float64
	now   func() time.Time

	mu      sync.Mutex
	balance float64
	filled  time.Time
}

func newBudget(ratio float64) *budget {
	return &budget{ratio: ratio, now: time.Now, balance: budgetFull, filled: time.Now()}
}

// deposit is called once per request.
func (b *budget) deposit() {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.balance = min(b.balance+b.ratio, budgetFull)
}

// withdraw reports whether one more retry or fallback is affordable, and pays for it.
func (b *budget) withdraw() bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	now := b.now()
	b.balance = min(b.balance+now.Sub(b.filled).Seconds()*budgetPerSecond, budgetFull)
	b.filled = now

	if b.balance < 1 {
		return false
	}

	b.balance--

	return true
}
