package ambassador

import (
	"sync"
	"time"
)

const (
	// quietAfter is how long no request has come for a service to be quiet. Time that passes after it pays in, so that a
	// service that is seldom asked may try again at all.
	quietAfter = time.Second
	// quietPerSecond are the retries that a quiet second pays for.
	quietPerSecond = 1.0
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
	// asked is when the last request came.
	asked time.Time
}

func newBudget(ratio float64) *budget {
	return &budget{ratio: ratio, now: time.Now, balance: budgetFull, asked: time.Now()}
}

// deposit is called once per request, before it is tried.
func (b *budget) deposit() {
	b.mu.Lock()
	defer b.mu.Unlock()

	now := b.now()
	quiet := max(now.Sub(b.asked)-quietAfter, 0)
	b.asked = now
	b.balance = min(b.balance+b.ratio+quiet.Seconds()*quietPerSecond, budgetFull)
}

// withdraw reports whether one more retry or fallback is affordable, and pays for it.
func (b *budget) withdraw() bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	if b.balance < 1 {
		return false
	}

	b.balance--

	return true
}
