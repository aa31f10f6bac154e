package gateway

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// recordTTL is how long the key of a command is remembered.
	recordTTL = 24 * time.Hour
	// maxRecords is how many keys a process remembers.
	maxRecords = 1 << 12
)

// records note, by key, what was begun and what it came to, each for [recordTTL].
type records interface {
	// claim notes what is begun, and returns nil; or it notes nothing, and returns what was noted before.
	claim(ctx context.Context, key string, begun []byte) (found []byte, err error)
	// settle puts what came of it in the place of what was begun; nil forgets the key. It changes nothing, and returns false,
	// if something else is noted.
	settle(ctx context.Context, key string, begun, outcome []byte) (bool, error)
}

// ownRecords are this process's.
type ownRecords struct {
	now func() time.Time

	mu    sync.Mutex
	known *simplelru.LRU[string, record]
}

type record struct {
	content []byte
	until   time.Time
}

func newOwnRecords() (*ownRecords, error) {
	known, err := simplelru.NewLRU[string, record](maxRecords, nil)
	if err != nil {
		return nil, fmt.Errorf("gateway: make records: %w", err)
	}

	return &ownRecords{now: time.Now, known: known}, nil
}

// newRecords makes records that all gateways share that have the same Redis; those of this process without one.
func newRecords(shared sharing) (records, error) {
	own, err := newOwnRecords()
	if err != nil || shared.redis == nil {
		return own, err
	}

	return &sharedRecords{sharing: shared, theirs: &redisRecords{shared.redis}, own: own}, nil
}

func (r *ownRecords) claim(_ context.Context, key string, begun []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	if found := r.find(key); found != nil {
		return found, nil
	}

	r.known.Add(key, record{begun, r.now().Add(recordTTL)})

	return nil, nil
}

// noted returns what is noted; nil if nothing is.
func (r *ownRecords) noted(key string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.find(key)
}

// find is noted, for who holds the lock.
func (r *ownRecords) find(key string) []byte {
	if found, known := r.known.Get(key); known && r.now().Before(found.until) {
		return found.content
	}

	return nil
}

func (r *ownRecords) settle(_ context.Context, key string, begun, outcome []byte) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	if found, known := r.known.Get(key); !known || !bytes.Equal(found.content, begun) {
		return false, nil
	}

	if outcome == nil {
		r.known.Remove(key)
	} else {
		r.known.Add(key, record{outcome, r.now().Add(recordTTL)})
	}

	return true, nil
}
