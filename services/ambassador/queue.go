package ambassador

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// queueRetry is what refused requests are told to wait.
const queueRetry = time.Second

// queue bounds how many requests a provider serves at once, and how many wait for that, in order.
type queue struct {
	slots   *semaphore.Weighted
	limit   int64
	waiting atomic.Int64
}

func newQueue(concurrent, limit int) *queue {
	return &queue{slots: semaphore.NewWeighted(int64(concurrent)), limit: int64(limit)}
}

// depth is the number of requests that wait.
func (q *queue) depth() int64 { return q.waiting.Load() }

// enter waits for a slot until the context ends. It fails at once if too many wait already.
func (q *queue) enter(ctx context.Context) *failure {
	if q.slots.TryAcquire(1) {
		return nil
	}

	defer q.waiting.Add(-1)

	if q.waiting.Add(1) > q.limit {
		return &failure{class: classQueueFull, retryAfter: queueRetry, message: "too many requests wait for the provider"}
	}

	if q.slots.Acquire(ctx, 1) != nil {
		return causeOf(ctx)
	}

	return nil
}

func (q *queue) leave() { q.slots.Release(1) }
