package kubelet

import "time"

// backoff doubles from a tenth of its limit.
type backoff struct{ limit, wait time.Duration }

func newBackoff(limit time.Duration) *backoff { return &backoff{limit: limit} }

func (b *backoff) next() time.Duration {
	b.wait = min(max(2*b.wait, b.limit/10), b.limit)

	return b.wait
}

func (b *backoff) reset() { b.wait = 0 }
