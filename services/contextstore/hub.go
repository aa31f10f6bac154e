package contextstore

import (
	"maps"
	"slices"
	"sync"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// hub shows events to the followers of their conversations. It never blocks: a follower that does not keep up loses its
// queue and reads the log instead.
type hub struct {
	limit int

	mu        sync.RWMutex
	followers map[string]map[*follower]struct{}
}

func newHub(limit int) *hub {
	return &hub{limit: limit, followers: map[string]map[*follower]struct{}{}}
}

// follower is the queue of one FollowEvents.
type follower struct {
	transient bool
	// wake holds a token while there is something to take.
	wake chan struct{}

	mu    sync.Mutex
	queue []*eventv1.Event
	// lost says that durable events went missing, and look that another process may have written some.
	lost, look bool
}

// follow adds a follower; stop removes it.
func (h *hub) follow(conversationID string, transient bool) (added *follower, stop func()) {
	added = &follower{transient: transient, wake: make(chan struct{}, 1)}

	h.mu.Lock()
	defer h.mu.Unlock()

	if h.followers[conversationID] == nil {
		h.followers[conversationID] = map[*follower]struct{}{}
	}

	h.followers[conversationID][added] = struct{}{}

	return added, func() { h.remove(conversationID, added) }
}

func (h *hub) remove(conversationID string, gone *follower) {
	h.mu.Lock()
	defer h.mu.Unlock()

	delete(h.followers[conversationID], gone)

	if len(h.followers[conversationID]) == 0 {
		delete(h.followers, conversationID)
	}
}

// publish shows events to everyone who follows the conversation now.
func (h *hub) publish(conversationID string, events []*eventv1.Event) {
	h.mu.RLock()
	defer h.mu.RUnlock()

	for one := range h.followers[conversationID] {
		one.push(events, h.limit)
	}
}

// push queues what the follower wants.
func (f *follower) push(events []*eventv1.Event, limit int) {
	f.mu.Lock()
	defer f.mu.Unlock()

	for _, event := range events {
		durable := event.GetSequence() > 0

		switch {
		case f.lost, !durable && !f.transient:
			continue
		case len(f.queue) < limit:
			f.queue = append(f.queue, event)
		case durable:
			f.queue, f.lost = nil, true
		} // a transient event that finds the queue full is dropped: durable ones will cover it
	}

	if len(f.queue) > 0 || f.lost {
		notify(f.wake)
	}
}

// take empties the queue. lost says that durable events went missing since the last time, look that there may be more
// in the log than in the queue.
func (f *follower) take() (events []*eventv1.Event, lost, look bool) {
	f.mu.Lock()
	defer f.mu.Unlock()

	events, lost, look = f.queue, f.lost, f.look
	f.queue, f.lost, f.look = nil, false, false

	return events, lost, look
}

// followed returns which conversations have followers.
func (h *hub) followed() []string {
	h.mu.RLock()
	defer h.mu.RUnlock()

	return slices.Collect(maps.Keys(h.followers))
}

// nudge makes everyone who follows the conversation look at its log.
func (h *hub) nudge(conversationID string) {
	h.mu.RLock()
	defer h.mu.RUnlock()

	for one := range h.followers[conversationID] {
		one.mu.Lock()
		one.look = true
		one.mu.Unlock()

		notify(one.wake)
	}
}

// notify leaves a token for one waiter, unless there is one already.
func notify(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
