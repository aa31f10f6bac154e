package contextstore

import (
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// ids makes identifiers that sort by time, also within a millisecond.
type ids struct {
	mu      sync.Mutex
	entropy *ulid.MonotonicEntropy
}

func newIDs() *ids { return &ids{entropy: ulid.Monotonic(rand.Reader, 0)} }

// conversation returns a new conversation id: c and a ULID in lower case.
func (i *ids) conversation(now time.Time) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()

	id, err := ulid.New(ulid.Timestamp(now), i.entropy)
	if err != nil {
		return "", fmt.Errorf("make a conversation id: %w", err)
	}

	return "c" + strings.ToLower(id.String()), nil
}
