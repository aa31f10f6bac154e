package contextstore

import (
	"sync"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

// epochs remembers the current epoch of turns that publish, so that a delta costs no read. The store's own writes keep
// it right at once; what another process wrote is seen when an entry expires.
type epochs struct {
	ttl time.Duration

	mu    sync.RWMutex
	turns map[string]epochEntry
}

// epochEntry is what is known of a turn. The epoch never goes back, and an end is final.
type epochEntry struct {
	conversationID, agent string

	epoch   int64
	ended   bool
	expires time.Time
}

// maxEpochs bounds the memory of epochs; what is forgotten is read again.
const maxEpochs = 16384

func newEpochs(ttl time.Duration) *epochs {
	return &epochs{ttl: ttl, turns: map[string]epochEntry{}}
}

// find returns what is known of a turn.
func (e *epochs) find(turnID string, now time.Time) (epochEntry, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()

	entry, found := e.turns[turnID]

	return entry, found && now.Before(entry.expires)
}

// forget drops what is known of a turn that another process changed.
func (e *epochs) forget(turnID string) {
	e.mu.Lock()
	defer e.mu.Unlock()

	delete(e.turns, turnID)
}

// clear drops all that is known.
func (e *epochs) clear() {
	e.mu.Lock()
	defer e.mu.Unlock()

	clear(e.turns)
}

// note takes in a turn as it was read or written, in whatever order such news come.
func (e *epochs) note(turn *contextv1.Turn, now time.Time) epochEntry {
	news := epochEntry{
		conversationID: turn.GetConversationId(), agent: turn.GetAgent(),
		epoch: turn.GetEpoch(), ended: ended(turn.GetStatus()), expires: now.Add(e.ttl),
	}

	e.mu.Lock()
	defer e.mu.Unlock()

	known, found := e.turns[turn.GetTurnId()]
	if found && known.epoch > news.epoch {
		news.epoch, news.agent = known.epoch, known.agent
	}

	news.ended = news.ended || known.ended

	if !found && len(e.turns) >= maxEpochs {
		clear(e.turns)
	}

	e.turns[turn.GetTurnId()] = news

	return news
}
