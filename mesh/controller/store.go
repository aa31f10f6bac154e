package controller

import (
	"context"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/canary"
)

// Store keeps what must survive the controller. Packages sqlite and kube implement it.
type Store interface {
	// Load returns every agent's record.
	Load(ctx context.Context) ([]Record, error)
	// Save keeps a record, and what it did to the history, in one transaction. It forgets revisions of the agent that
	// neither the record nor the history names any more.
	Save(ctx context.Context, record Record, entries ...HistoryEntry) error
	// History returns up to limit entries of an agent, newest first, with ids below before; 0 means from the newest.
	History(ctx context.Context, agent string, before int64, limit int) ([]HistoryEntry, error)
	// PutRevision keeps a revision's content. The same again changes nothing, whatever else is declared with it.
	PutRevision(ctx context.Context, revision Revision) error
	// GetRevision returns a revision by its short or full name. Errors: NOT_FOUND (REVISION_UNKNOWN).
	GetRevision(ctx context.Context, agent, name string) (Revision, error)
	// LoadServers and SaveServers keep the tool servers' declarations.
	LoadServers(ctx context.Context) ([]string, error)
	SaveServers(ctx context.Context, servers []string) error
	// LoadNumbers and SaveNumbers keep numbers by agent, together with the position of the last outcome in them: 0 and
	// nothing if there are none.
	LoadNumbers(ctx context.Context) (position int64, numbers map[string][]byte, err error)
	SaveNumbers(ctx context.Context, position int64, numbers map[string][]byte) error
}

// Record is what is kept of one agent.
type Record struct {
	Agent string       `json:"agent"`
	State canary.State `json:"state"`
	// Declaration is the declaration as it stands, resolved, as JSON; empty once the agent is not declared any more.
	Declaration string `json:"declaration,omitempty"`
	// Declared is the short name of the revision that the declaration asked for when it was last looked at. What a person
	// starts holds until that changes.
	Declared string `json:"declared,omitempty"`
	// Position is the first outcome that counts for the attempt; 0 if it was not known.
	Position int64 `json:"position,omitempty"`
	// RemovedAt is since when the agent is not declared any more; zero if it is.
	RemovedAt time.Time `json:"removedAt,omitzero"`
	// Slots are the hand-written subsets that the revisions of an adopted agent are in.
	Slots map[string]string `json:"slots,omitempty"`
	// Gone says that nothing is left of the agent but this: attempt and sequence go on if it comes back.
	Gone bool `json:"gone,omitempty"`
	// Orphans are the revisions that conversations may have kept when the agent went.
	Orphans []string `json:"orphans,omitempty"`
}

// Names returns the short names of all revisions that the record speaks of.
func (r *Record) Names() []string {
	names := slices.Concat(
		[]string{r.Declared, r.State.Declared, r.State.Stable, r.State.Candidate, r.State.Previous},
		slices.Collect(maps.Keys(r.State.Rejected)),
	)

	for _, leaving := range r.State.Leaving {
		names = append(names, leaving.Revision, leaving.Successor)
	}

	return distinct(names)
}

// Revision is the content of one revision.
type Revision struct {
	Agent string
	// Name is the full name: 64 hex digits.
	Name string
	// Declaration is the resolved declaration as JSON.
	Declaration string
}

// Snapshot is the part of a rollout that an action changes.
type Snapshot struct {
	Phase     canary.Phase `json:"phase"`
	Stable    string       `json:"stable,omitempty"`
	Candidate string       `json:"candidate,omitempty"`
	Weight    int          `json:"weight"`
}

// HistoryEntry is one thing that was done.
type HistoryEntry struct {
	// ID grows with each entry of an agent; the store sets it.
	ID      int64     `json:"id"`
	Time    time.Time `json:"time"`
	Actor   string    `json:"actor"`
	Action  string    `json:"action"`
	Reason  string    `json:"reason"`
	Attempt int64     `json:"attempt"`
	Before  Snapshot  `json:"before"`
	After   Snapshot  `json:"after"`
}

// NoRevision is the fault for a revision that a store does not have.
func NoRevision(agent, name string) error {
	return fault.New(codes.NotFound, "REVISION_UNKNOWN",
		"agent %s has no revision %q: see `serin canary status %s` and `serin canary history %s` for those that it has",
		agent, name, agent, agent)
}
