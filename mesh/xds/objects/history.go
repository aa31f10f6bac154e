package objects

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
)

// event is one write, as watches tell it.
type event struct {
	version uint64
	kind    *kind
	key     key
	deleted bool
	// labels are those after the write, previous those before it; existed says whether there was a before.
	labels, previous labels.Set
	existed          bool
	// body is the object after the write; of a deleted one its last.
	body []byte
}

// history is the latest events, one for each version after base.
type history struct {
	base   uint64
	events []event
	limit  int
}

func (h *history) add(e event) {
	h.events = append(h.events, e)

	// Twice the limit before it is cut, so that cutting costs nothing on the whole. A cut makes a new slice: readers
	// may hold the old one.
	if len(h.events) > 2*h.limit {
		cut := len(h.events) - h.limit
		h.base = h.events[cut-1].version
		h.events = slices.Clone(h.events[cut:])
	}
}

// after returns the events after a version; false if they are not all known any more, or the version is none of this
// store's.
func (h *history) after(version uint64) ([]event, bool) {
	if version < h.base || version > h.base+uint64(len(h.events)) {
		return nil, false
	}

	from := version - h.base

	return h.events[from:len(h.events):len(h.events)], true
}
